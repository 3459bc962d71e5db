"""A report as sections of paragraphs, tables and pictures; Markdown, LaTeX and the HTML page are made of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Table:
    """A table of texts; the first column is text, the others are mostly numbers."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    def markdown(self) -> str:
        """Pipes in cells are escaped; the caption follows as a paragraph."""
        lines = [self.header, [":--"] + ["--:"] * (len(self.header) - 1), *self.rows]
        table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        return f"{table}\n\n{self.caption}".strip()

    def latex(self, title: str) -> str:
        """A `table` with the rules of the package booktabs."""
        head, *body = (" & ".join(map(_latex, line)) + r" \\" for line in (self.header, *self.rows))
        return "\n".join(
            [
                r"\begin{table}",
                rf"\caption{{{_latex(f'{title}. {self.caption}'.strip())}}}",
                rf"\begin{{tabular}}{{l{'r' * (len(self.header) - 1)}}}",
                *(r"\toprule", head, r"\midrule", *body, r"\bottomrule"),
                *(r"\end{tabular}", r"\end{table}"),
            ]
        )


@dataclass(frozen=True)
class Picture:
    """A plot, as files `NAME.png` and `NAME.svg` beside the report."""

    name: str
    caption: str

    def markdown(self) -> str:
        return f"![{self.caption}]({self.name}.png)"


Block = str | Table | Picture
"""A paragraph, list or code block in Markdown, a table, or a picture."""


@dataclass(frozen=True)
class Section:
    """A heading (empty for the first part) and what stands below it; the console shows what is `brief`."""

    title: str
    blocks: Sequence[Block]
    brief: bool = False

    def and_(self, *blocks: Block) -> Section:
        """The section with more below it, if there is anything in it."""
        return replace(self, blocks=[*self.blocks, *(one for one in blocks if one)]) if self.blocks else self

    def markdown(self, pictures: bool = True) -> str:
        """Empty if there is nothing below the heading."""
        blocks = [one for one in self.blocks if one and (pictures or not isinstance(one, Picture))]
        texts = [one if isinstance(one, str) else one.markdown() for one in blocks]
        return "\n\n".join([f"## {self.title}"] * bool(self.title) + texts) if texts else ""


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes:
        verdict: the answer in a sentence or two; empty if the run has none to give.
        warnings: what makes the figures doubtful whoever reads them: mixed revisions, unfinished work.
        thin: where the evidence is too thin to decide by, one sentence each.
    """

    title: str
    verdict: Sequence[str]
    warnings: Sequence[str]
    thin: Sequence[str]
    sections: Sequence[Section]

    def markdown(self, *, brief: bool = False) -> str:
        """The whole text, or what the console shows of it."""
        first, *rest = self.verdict or ("",)
        notes = [f"> **Warning.** {one}" for one in self.warnings] + [
            f"> **Thin evidence.** {one}" for one in self.thin
        ]
        shown = (one.markdown(not brief) for one in self.sections if one.brief or not brief)
        top = [" ".join([f"**{first}**", *rest]) if first else "", f"# {self.title}", "\n>\n".join(notes)]
        return "\n\n".join(filter(None, [*top, *shown]))

    def latex(self) -> str:
        """All tables, to be taken into a paper; they need the package booktabs."""
        return "\n\n".join(table.latex(title) for title, table in self.tables()) + "\n"

    def tables(self) -> Iterator[tuple[str, Table]]:
        """All tables with the titles of their sections."""
        for section in self.sections:
            yield from ((section.title, block) for block in section.blocks if isinstance(block, Table))


_SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "≥": r"$\geq$",
    "≤": r"$\leq$", "±": r"$\pm$", **{one: f"\\{one}" for one in "&%$#_{}"},
}  # fmt: skip


def _latex(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in text)
