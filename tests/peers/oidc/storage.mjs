// Where the provider keeps what it issues: in memory, outliving the Provider object, which is made anew when its keys change.
const kept = new Map();
const now = () => Math.floor(Date.now() / 1000);

export class Storage {
  constructor(model) {
    this.model = model;
  }

  async upsert(id, payload, expiresIn) {
    kept.set(`${this.model}:${id}`, { model: this.model, id, payload, ends: expiresIn ? now() + expiresIn : Infinity });
  }

  async find(id) {
    const found = kept.get(`${this.model}:${id}`);
    return found && found.ends > now() ? found.payload : undefined;
  }

  async findByUid(uid) {
    return this.#where((payload) => payload.uid === uid);
  }

  async findByUserCode(userCode) {
    return this.#where((payload) => payload.userCode === userCode);
  }

  #where(test) {
    return [...kept.values()].find((each) => each.model === this.model && each.ends > now() && test(each.payload))?.payload;
  }

  async destroy(id) {
    kept.delete(`${this.model}:${id}`);
  }

  async consume(id) {
    kept.get(`${this.model}:${id}`).payload.consumed = now();
  }

  async revokeByGrantId(grantId) {
    for (const [key, { payload }] of kept) if (payload.grantId === grantId) kept.delete(key);
  }
}

// Everything that an account's grants gave: tokens, codes and the grants themselves, but not its sessions in browsers.
export function revoke(accountId) {
  for (const [key, { model, payload }] of kept) if (model !== 'Session' && payload.accountId === accountId) kept.delete(key);
}

export function sessions(accountId) {
  return [...kept.values()].filter(({ model, payload }) => model === 'Session' && payload.accountId === accountId).map(({ payload }) => payload);
}
