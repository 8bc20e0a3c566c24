"""Numbers as the page writes them: metrics without the zero before the point, minus signs, shares, sizes."""

from __future__ import annotations

_MINUS = "−"


def score(value: float, digits: int = 3) -> str:
    """A metric.

    Example:
        >>> score(0.8670), score(-0.05, 2), score(1.0, 2)
        ('.867', '−.05', '1.00')
    """
    return _with_minus(f"{value:.{digits}f}")


def signed(value: float, digits: int = 3) -> str:
    """A difference of metrics, with its sign.

    Example:
        >>> signed(-0.0172), signed(0.002), signed(-0.0001)
        ('−.017', '+.002', '.000')
    """
    text = _with_minus(f"{value:+.{digits}f}")
    return text if text.strip("+−.0") else score(0.0, digits)


def percent(share: float) -> str:
    """A share of a whole, to a tenth of a percent where that says something.

    Example:
        >>> percent(0.25), percent(0.0998), percent(0.025)
        ('25 %', '10 %', '2.5 %')
    """
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def millions(count: int) -> str:
    """A number of parameters.

    Example:
        >>> millions(14_751_362), millions(9_000)
        ('14.8 million', '9,000')
    """
    return f"{count / 1e6:,.1f} million" if count >= 100_000 else f"{count:,}"


def megabytes(count: int) -> str:
    """The size of a file.

    Example:
        >>> megabytes(59_004_112)
        '59.0 MB'
    """
    return f"{count / 1e6:.1f} MB"


def faster(speedup: float) -> str:
    """How a speed compares with the dense model's.

    Example:
        >>> faster(2.94), faster(0.5), faster(1.0)
        ('2.9 × faster than dense', '2.0 × slower than dense', 'as fast as dense')
    """
    if f"{speedup:.1f}" == "1.0" or speedup <= 0:
        return "as fast as dense"
    return f"{speedup:.1f} × faster than dense" if speedup > 1 else f"{1 / speedup:.1f} × slower than dense"


def joined(words: list[str]) -> str:
    """Words as a sentence lists them.

    Example:
        >>> joined(["svd"]), joined(["svd", "fwsvd", "kfac"])
        ('svd', 'svd, fwsvd and kfac')
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def titled(metric: str) -> str:
    """The name of a metric as running text.

    Example:
        >>> titled("matthews_correlation")
        'matthews correlation'
    """
    return metric.replace("_", " ")


def _with_minus(text: str) -> str:
    """The digits with a minus sign in place of a hyphen, and nothing before the point where a zero was."""
    sign, digits = (text[0], text[1:]) if text[0] in "+-" else ("", text)
    return sign.replace("-", _MINUS) + (digits[1:] if digits.startswith("0.") else digits)
