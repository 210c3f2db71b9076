"""Keys and commands from what was typed and what came back."""

from recgate_ssh.keystrokes import MAX_LINES, Decided, Keys


class Terminal:
    """Plays a terminal; every step goes through a saved and restored state."""

    def __init__(self, cols: int = 80) -> None:
        self._keys = Keys(cols)
        self._n = 0
        self.lines: list[Decided] = []

    def _restore(self) -> Keys:
        self._keys = Keys.restore(self._keys.save())
        return self._keys

    def type(self, text: str) -> None:
        self._n += 1
        self.lines += self._restore().typed(self._n, self._n, text)

    def show(self, text: str) -> None:
        self.lines += self._restore().shown(text)

    def echo(self, text: str) -> None:
        for char in text:
            self.type(char)
            self.show("\r\n" if char == "\r" else char)

    def end(self) -> None:
        self.lines += self._restore().finish()

    @property
    def commands(self) -> list[str]:
        return [command for _, _, command in self.lines]

    @property
    def typed(self) -> list[str]:
        return ["".join(text for _, _, text in keys) if shown else "•••" for keys, shown, _ in self.lines]


def test_a_command_is_what_the_line_shows_behind_the_prompt():
    terminal = Terminal()
    terminal.show("user@host:~$ ")
    terminal.echo("DROP DATABASE x\r")

    assert terminal.commands == ["DROP DATABASE x"]
    assert terminal.typed == ["DROP DATABASE x\r"]


def test_a_password_is_withheld():
    terminal = Terminal()
    terminal.show("$ ")
    terminal.echo("sudo id\r")
    terminal.show("[sudo] password for alice: ")
    for char in "hunter2":
        terminal.type(char)
    terminal.type("\r")
    terminal.show("\r\nuid=0(root) hunter2 appears in later output\r\n$ ")
    terminal.echo("whoami\r")

    assert terminal.typed == ["sudo id\r", "•••", "whoami\r"]
    assert terminal.commands == ["sudo id", "", "whoami"]


def test_a_pasted_password_is_withheld():
    terminal = Terminal()
    terminal.show("Password: ")
    terminal.type("correct horse\r")
    terminal.show("\r\n")

    assert terminal.typed == ["•••"]


def test_a_password_echoed_as_stars_is_withheld_whatever_comes_after():
    terminal = Terminal()
    terminal.show("Password: ")
    for char in "sesame":
        terminal.type(char)
        terminal.show("*")
    terminal.type("\r")
    terminal.show("\r\nsome text in which s e s a m e can be found\r\n")
    terminal.end()

    assert terminal.typed == ["•••"]


def test_completion_and_history_are_read_from_the_screen():
    terminal = Terminal()
    terminal.show("$ ")
    terminal.echo("cat /et")
    terminal.type("\t")
    terminal.show("c/")
    terminal.echo("pass\x7f")
    terminal.show("\b\x1b[K")
    terminal.echo("swd\r")
    terminal.show("root:x\r\n$ ")
    terminal.type("\x1b[A")
    terminal.show("cat /etc/passwd")
    terminal.type("\r")
    terminal.show("\r\n")

    assert terminal.commands[-1] == "cat /etc/passwd"


def test_typing_ahead_is_matched_line_by_line():
    terminal = Terminal()
    terminal.type("echo one\recho two\r")
    terminal.show("Last login: today\r\n\r\nWelcome\r\n")
    terminal.show("$ echo one\r\none\r\n$ ")
    terminal.show("echo two\r\ntwo\r\n")

    assert terminal.commands == ["echo one", "echo two"]
    assert terminal.typed == ["echo one\r", "echo two\r"]


def test_what_a_login_shows_behind_what_was_typed_ahead_is_no_part_of_it():
    terminal = Terminal()
    terminal.type("echo hi\r")
    terminal.show("echo hi")
    terminal.show("Last login: Tue Nov 24 20:32:51 2026 from 127.0.0.1\r\n$ ")
    terminal.show("echo hi\r\nhi\r\n$ ")
    terminal.echo("ls f\too\r")

    assert terminal.commands[0] == "echo hi"
    assert terminal.commands[1] != "ls f"


def test_a_full_screen_program_gives_no_commands():
    terminal = Terminal()
    terminal.show("\x1b[?1049h~\r\n~")
    terminal.echo(":wq\r")

    assert terminal.commands == [""]


def test_keys_without_any_output_are_decided_in_the_end():
    terminal = Terminal()
    for _ in range(3 * MAX_LINES):
        terminal.type("secret\r")
    terminal.end()

    assert len(terminal.lines) == 3 * MAX_LINES
    assert set(terminal.typed) == {"•••"}
