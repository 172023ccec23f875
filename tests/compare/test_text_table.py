"""Tables of plain text: one line a row, every column as wide as it must be, nothing beyond the line."""

from __future__ import annotations

import io

from rich.cells import cell_len
from rich.console import Console

from segbench.compare.text_table import text_table

COLUMNS = [["a", "bb"], ["1.5", "10"]]


def printed(heads, columns, *, left, width=80, gap=2):
    table = text_table(heads, columns, left=left, gap=gap, width=width, styles=[("", "")] * len(columns[0]))
    text = io.StringIO()
    Console(file=text, width=width, color_system=None).print(table, soft_wrap=True)
    return text.getvalue().splitlines()


def test_words_stand_to_the_left_and_numbers_to_the_right_without_spaces_at_the_end():
    assert printed(["name", "score"], COLUMNS, left=[True, False]) == [
        "name  score",
        "───────────",
        "a       1.5",
        "bb       10",
    ]
    assert printed(["n", "word"], [["1"], ["x"]], left=[False, True])[-1] == "1  x"


def test_a_heading_of_two_lines_ends_where_the_others_do():
    assert printed(["", "test/\nmean_iou"], [["*"], ["0.5"]], left=[True, False])[:2] == ["      test/", "   mean_iou"]


def test_a_line_that_is_too_long_cuts_the_widest_columns():
    lines = printed(["one", "two", "n"], [["x" * 50], ["y" * 40], ["12"]], left=[True, True, False], width=30)
    assert max(map(len, lines)) == 30
    assert lines[-1] == f"{'x' * 11}…  {'y' * 11}…  12"


def test_characters_that_take_two_columns_of_a_terminal_count_for_two():
    lines = printed(["a", "n"], [["\u6f22\u5b57", "b"], ["1", "2"]], left=[True, False])
    assert [cell_len(line) for line in lines] == [7] * 4
    cut = printed(["a", "n"], [["\u6f22" * 20], ["1"]], left=[True, False], width=20)[-1]
    assert cell_len(cut) == 20 and cut.endswith("…  1")


def test_rows_and_their_first_cells_have_styles():
    styles = [("red", ""), ("bold", "bold")]
    table = text_table(["a", "b"], COLUMNS, left=[True, False], gap=1, width=80, styles=styles)
    assert [(table.plain[span.start : span.end].strip(), span.style) for span in table.spans] == [
        ("a    b", "bold"),
        ("a", "red"),
        ("bb", "bold"),
        ("10", "bold"),
    ]
