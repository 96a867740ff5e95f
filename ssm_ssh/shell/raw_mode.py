"""Raw mode of a terminal: every key is passed on, and every byte is shown as it is."""

from __future__ import annotations

import termios

Attributes = list[int | list[bytes | int]]
# Indexes into what tcgetattr returns: https://docs.python.org/3/library/termios.html
_IFLAG, _OFLAG, _CFLAG, _LFLAG, _CC = 0, 1, 2, 3, 6


class RawMode:
    """The modes of the terminal behind `fd`. Nothing is done, and nothing raised, where there is no terminal."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._saved: Attributes | None = None

    @property
    def entered(self) -> bool:
        """Whether the modes were changed, and not put back yet."""
        return self._saved is not None

    def enter(self) -> None:
        """Have every key passed on, until `restore`. What was typed already is kept."""
        try:
            attributes = termios.tcgetattr(self._fd)
            if self._saved is None:
                self._saved = [item[:] if isinstance(item, list) else item for item in attributes]
            termios.tcsetattr(self._fd, termios.TCSANOW, raw(attributes))
        except (termios.error, OSError):  # the terminal is gone, which the next read shows
            return

    def restore(self) -> None:
        """Put the modes back if they were changed. Never blocks."""
        saved, self._saved = self._saved, None
        if saved is None:
            return
        try:
            termios.tcsetattr(self._fd, termios.TCSANOW, saved)
        except (termios.error, OSError):
            return


def raw(attributes: Attributes) -> Attributes:
    """Return `attributes` as cfmakeraw(3) makes them: no signals, no echo, no translation, eight bits, each key.

    tty.setraw leaves some translations of input on before Python 3.12.
    """
    attributes = attributes[:]
    control = attributes[_CC]
    assert isinstance(control, list)
    control = control[:]
    control[termios.VMIN], control[termios.VTIME] = 1, 0
    attributes[_CC] = control
    off = {
        _IFLAG: termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON,
        _OFLAG: termios.OPOST,
        _CFLAG: termios.CSIZE | termios.PARENB,
        _LFLAG: termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN,
    }
    for index, flags in off.items():
        value = attributes[index]
        assert isinstance(value, int)
        attributes[index] = value & ~flags | (termios.CS8 if index == _CFLAG else 0)
    return attributes
