"""How the target reads texts, as it reports it: where that is not how we read them, nobody knows what a text says."""

from __future__ import annotations

from typing import Final

from recgate.errors import RemoteProtocolError
from recgate_postgres.encodings import DEFAULT, codec

__all__ = ["READ_ONLY", "Settings", "plain"]

READ_ONLY: Final = b"default_transaction_read_only"

# Those in which no byte of a longer character can be taken for ASCII. In the others (BIG5, GB18030, GBK, JOHAB, SJIS,
# SHIFT_JIS_2004, UHC) a backslash or a letter may be half of a character.
_SAFE: Final = frozenset(
    (
        "EUC_CN",
        "EUC_JIS_2004",
        "EUC_JP",
        "EUC_KR",
        "EUC_TW",
        "KOI8R",
        "KOI8U",
        "MULE_INTERNAL",
        "SQL_ASCII",
        "UTF8",
    )
)
_SAFE_SORTS: Final = ("ISO_8859_", "LATIN", "WIN")
_VAGUE: Final = frozenset(("MULE_INTERNAL", "SQL_ASCII"))


class Settings:
    """What ParameterStatus has said (55.2.6). `codec` shows texts; the rest says whether they can be read."""

    __slots__ = ("codec", "encoding", "escapes", "read_only", "server", "version")

    def __init__(self) -> None:
        self.codec = DEFAULT
        self.encoding = ""  # nobody reports none, so none is not safe
        self.escapes = True  # whether '\\' may escape in a plain string
        self.server = ""
        self.version = 0
        self.read_only = False  # whether transactions must stay read-only

    def report(self, name: bytes, value: str) -> None:
        """Note a ParameterStatus.

        Raises:
            RemoteProtocolError: something made transactions writable that must not be, whatever it was.
        """
        if self.read_only and name == READ_ONLY and value != "on":
            raise RemoteProtocolError(
                "the session is read-only, and its transactions no longer are", hint="25006"
            )
        if name == b"client_encoding":
            self.encoding = value
            self.codec = codec(value)
        elif name == b"server_encoding":
            self.server = value
        elif name == b"standard_conforming_strings":
            self.escapes = value != "on"
        elif name == b"server_version":
            digits = value.partition(".")[0].partition(" ")[0]
            self.version = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 4 else 0

    def doubts(self, text: bytes, *, behind: bool) -> bool:
        """Whether the target may read a text otherwise than it stands there.

        `behind` says that something under way will run before it: that may change how the target reads, which it
        reports only when it is done.
        """
        return not plain(text) and (behind or (self.escapes and b"\\" in text))

    @property
    def safe(self) -> bool:
        """Whether every ASCII byte of a text is that ASCII character."""
        return self.encoding in _SAFE or self.encoding.startswith(_SAFE_SORTS)

    @property
    def exact(self) -> bool:
        """Whether names beyond ASCII are for the target what they are for us."""
        return self.server == "UTF8" and self.encoding not in _VAGUE


def plain(text: bytes) -> bool:
    """Whether a text means the same under every setting: that of ASCII without a backslash does."""
    return text.isascii() and b"\\" not in text
