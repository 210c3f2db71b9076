"""What clients send to the routes of sign-in, read strictly: an unknown key, or a text that cannot be, is a no."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeVar, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from recgate.httpauth import Headers, Problem, Receive, Scope, read_body

__all__ = [
    "CERTIFICATE",
    "DEVICE",
    "LOGIN",
    "CertificateRequest",
    "CodeLogin",
    "DeviceLogin",
    "DeviceRequest",
    "media_type",
    "read_request",
]

MAX_REQUEST: Final = 64 << 10  # bytes of a body

T = TypeVar("T")


def _loopback(uri: str) -> str:
    """RFC 8252 §7.3: the browser comes back to this machine, to a port of the client's, and to nothing else."""
    parts = urlsplit(uri)
    if parts.scheme != "http" or parts.hostname not in ("127.0.0.1", "::1", "localhost") or parts.fragment:
        raise ValueError("should be an address of this machine: http://127.0.0.1:PORT/…")
    if parts.username is not None or parts.password is not None:
        raise ValueError("should hold no user")
    return uri


Text = Annotated[str, Field(pattern=r"\A[!-~]+\z")]
PublicKey = Annotated[str, Field(max_length=16 << 10)]
SourceName = Annotated[str, Field(max_length=63)]


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class CodeLogin(_Request):
    """What a browser brought back, and what proves that this client sent it there (RFC 7636 §4.1)."""

    source: SourceName
    grant: Literal["code"]
    code: Annotated[Text, Field(max_length=16 << 10)]
    code_verifier: Annotated[str, Field(pattern=r"\A[A-Za-z0-9._~-]{43,128}\z")]
    redirect_uri: Annotated[Text, Field(max_length=2_048), AfterValidator(_loopback)]
    nonce: Annotated[Text, Field(min_length=16, max_length=256)]
    ssh_public_key: PublicKey = ""


class DeviceLogin(_Request):
    """The handle of a code that was shown."""

    source: SourceName
    grant: Literal["device"]
    handle: Annotated[Text, Field(max_length=64)]
    ssh_public_key: PublicKey = ""


class DeviceRequest(_Request):
    """Wish for a code to enter: with an `acr`, or a `fresh` sign-in however lately the last one was."""

    source: SourceName
    acr: Annotated[str, Field(pattern=r"\A[!-~]{0,256}\z")] = ""
    fresh: bool = False


class CertificateRequest(_Request):
    """Wish for another certificate."""

    ssh_public_key: PublicKey


LOGIN: Final[TypeAdapter[CodeLogin | DeviceLogin]] = TypeAdapter(
    Annotated[CodeLogin | DeviceLogin, Field(discriminator="grant")]
)
DEVICE: Final = TypeAdapter(DeviceRequest)
CERTIFICATE: Final = TypeAdapter(CertificateRequest)


def media_type(scope: Scope) -> str:
    """Give what a request says its body is, without parameters; "" where it says nothing, or says it twice."""
    headers = cast("Headers", scope["headers"])
    given = [value for name, value in headers if name.lower() == b"content-type"]
    return given[0].decode("latin-1").partition(";")[0].strip().lower() if len(given) == 1 else ""


async def read_request(scope: Scope, receive: Receive, kind: TypeAdapter[T]) -> T:
    """Read a JSON body. Raises `Problem`, which names what is wrong and quotes nothing of it."""
    if media_type(scope) != "application/json":
        # A page in somebody's browser can send any other kind here without asking, and have that address wait or use
        # up its codes; this one it would have to be allowed, and nobody is.
        raise Problem(415, "this takes `Content-Type: application/json`")
    body = await read_body(receive, MAX_REQUEST)
    try:
        return kind.validate_json(body)
    except ValidationError as exc:
        wrong = {str(each["loc"][-1]) for each in exc.errors() if each["loc"]}
        named = ", ".join(sorted(each for each in wrong if each.isidentifier())) or "its JSON"
        raise Problem(400, f"the request is not as it should be: look at {named[:200]}") from None
