"""Signs of Unicode, as LaTeX writes them."""

from __future__ import annotations

import re

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_FRACTIONS = {
    **{"½": (1, 2), "⅓": (1, 3), "⅔": (2, 3), "¼": (1, 4), "¾": (3, 4), "⅕": (1, 5), "⅖": (2, 5)},
    **{
        "⅗": (3, 5),
        "⅘": (4, 5),
        "⅙": (1, 6),
        "⅚": (5, 6),
        "⅛": (1, 8),
        "⅜": (3, 8),
        "⅝": (5, 8),
        "⅞": (7, 8),
    },
}
_GREEK = {
    **{"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "θ": "theta", "λ": "lambda"},
    **{"μ": "mu", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "phi", "ω": "omega", "Δ": "Delta"},
}
_COMMANDS = {
    **{"∞": "infty", "√": "sqrt", "≤": "le", "≥": "ge", "⩽": "le", "⩾": "ge", "≠": "ne", "≈": "approx"},
    **{
        "≡": "equiv",
        "∴": "therefore",
        "∪": "cup",
        "∈": "in",
        "∅": "emptyset",
        "±": "pm",
        "△": "triangle",
        "∠": "angle",
    },
    **{"⌊": "lfloor", "⌋": "rfloor", "⌈": "lceil", "⌉": "rceil"},
}
_REPLACED: dict[str, int | str] = {
    **dict.fromkeys("\t\n\r\u00a0\u2009\u202f\u3000", " "),
    **dict.fromkeys("−–—‐‑‒﹣", "-"),
    **dict.fromkeys("·⋅×∗∙", "*"),
    **dict.fromkeys("÷∕⁄", "/"),
    **{"。": ".", "、": ", ", "，": ", ", "【": "[", "】": "]", "∶": ":", "º": "°", "˚": "°", "℃": "°C"},
    **{"¢": " cents", "∛": r"\sqrt[3]", "ℝ": r"\mathbb{R}"},
    **{sign: rf"\frac{{{top}}}{{{bottom}}}" for sign, (top, bottom) in _FRACTIONS.items()},
    **{sign: rf"\{name} " for sign, name in (_GREEK | _COMMANDS).items()},
}
_SIGNS: dict[int, int | str] = {**_FULL_WIDTH, **str.maketrans(_REPLACED)}
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉ₙ", "0123456789n")
_RAISED_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
_LOWERED_RUN = re.compile("[₀₁₂₃₄₅₆₇₈₉ₙ]+")
_ROOT = re.compile(r"√([0-9]+(?:\.[0-9]+)?)")  # the sign covers the whole number, LaTeX's `\sqrt12` one digit


def in_latex(text: str) -> str:
    """`in_latex("2√12·x¹⁰") == "2\\\\sqrt{12}*x^{10}"`. A run of raised digits is one exponent."""
    if text.isascii():
        return text.translate(_SIGNS)
    text = _ROOT.sub(r"\\sqrt{\1}", text)
    text = _RAISED_RUN.sub(lambda run: "^{" + run.group().translate(_RAISED) + "}", text)
    text = _LOWERED_RUN.sub(lambda run: "_{" + run.group().translate(_LOWERED) + "}", text)
    return text.translate(_SIGNS)
