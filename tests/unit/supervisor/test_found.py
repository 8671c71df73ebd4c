"""Which tables patterns mean, which of them are new, and what outlives a restart."""

from __future__ import annotations

from bridge.config import Config, parse
from bridge.supervisor.found import Found, schemas
from bridge.supervisor.plan import make_plan, table_shapes


def config(*entries: str) -> Config:
    """A configuration with these entries."""
    tables = "".join(f"  - {entry}\n" for entry in entries)
    sinks = "sinks: {one: {type: stdout}, two: {type: stdout}}\n"
    return parse(f"kinetica: {{urls: a}}\ntables:\n{tables}{sinks}")


def test_an_exact_name_wins_else_the_first_entry_that_matches() -> None:
    """Wherever they stand in the file; what is excepted may belong to a later entry."""
    made = config(
        "{name: 's.*', except: [s.tmp_*], values: kinetica, sinks: [one]}",
        "{name: 's.t*', key: [a]}",
        "{name: s.orders, key: [b]}",
    )
    found = {"s.orders", "s.tax", "s.tmp_1", "s.x", "r.x"}
    plan, shapes = make_plan(made, found), table_shapes(made, found)

    assert {name: (form.key, form.values) for name, form in shapes.items()} == {
        "s.orders": (("b",), "declared"),
        "s.tax": (None, "kinetica"),
        "s.tmp_1": (("a",), "declared"),
        "s.x": (None, "kinetica"),
    }
    assert plan.sinks["one"].tables == {"s.orders", "s.tax", "s.tmp_1", "s.x"}
    assert plan.sinks["two"].tables == {"s.orders", "s.tmp_1"}
    assert set(plan.tables) == set(shapes)


def test_what_a_pattern_finds_first_is_not_new_and_what_comes_later_is() -> None:
    """New since the look before; a name outside the patterns is none of ours."""
    made = config("name: 's.*'", "name: r.t")

    first = Found().look(made, {"s": {"s.a"}, "r": {"r.t", "r.u"}}, 0.0)
    second = first.look(made, {"s": {"s.a", "s.b"}}, 100.0)

    assert schemas(made) == {"s"}
    assert (first.names, dict(first.new)) == ({"s.a"}, {})
    assert (second.names, dict(second.new)) == ({"s.a", "s.b"}, {"s.b": 100.0})


def test_another_pattern_makes_no_table_new() -> None:
    """Neither one that was added, nor one whose exceptions changed."""
    first = Found().look(config("name: 's.a*'"), {"s": {"s.a", "s.b"}}, 0.0)

    wider = config("name: 's.a*'", "name: 's.*'")
    second = first.within(wider, (), ()).look(wider, {"s": {"s.a", "s.b"}}, 200.0)
    other = config("{name: 's.*', except: [s.c]}")
    third = second.within(other, (), ()).look(other, {"s": {"s.a", "s.b"}}, 300.0)

    assert (second.names, dict(second.new)) == ({"s.a", "s.b"}, {})
    assert (third.names, dict(third.new)) == ({"s.a", "s.b"}, {})


def test_what_vanishes_stays_until_it_is_let_go() -> None:
    """Then it is new when it comes back."""
    made = config("name: 's.*'")
    seen = Found().look(made, {"s": {"s.a", "s.b"}}, 0.0).look(made, {"s": {"s.a"}}, 200.0)

    assert seen.names == {"s.a", "s.b"}
    left = seen.within(made, {"s.b"}, ())
    assert left.names == {"s.a"}
    assert dict(left.look(made, {"s": {"s.a", "s.b"}}, 0.0).new) == {"s.b": 200.0}


def test_what_was_seen_outlives_a_restart_and_what_is_new_too() -> None:
    """Until it was listened to."""
    made = config("{name: 's.*', except: [x*]}")
    seen = Found().look(made, {"s": {"s.a"}}, 0.0).look(made, {"s": {"s.a", "s.b"}}, 100.0)

    again = Found.from_text(seen.to_text())

    assert again == seen
    assert dict(again.within(made, (), {"s.a"}).new) == {"s.b": 100.0}
    assert dict(again.within(made, (), {"s.b"}).new) == {}
    assert Found.from_text("") == Found()


def test_a_pattern_that_was_not_looked_at_yet_has_no_count() -> None:
    """One that means nothing has the count 0."""
    made = config("name: 's.*'", "name: 'r.*'")

    assert Found().look(made, {"s": set()}, 1.0).counts(made) == {"s.*": 0, "r.*": None}
