"""The linter of segment rules: every cell of the score cube must have a segment, and every segment a cell.

Scores run from 1 to the number of bins and are never null. A metric that a rule names beside scores varies freely but
for what its definition says: null scores 1, the least possible value scores worst or best, fixed cuts score exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from rfm_spark.config import expressions, known
from rfm_spark.config.expressions import SqlFault
from rfm_spark.config.lint.conditions import Conditions
from rfm_spark.config.lint.cube import Space, first_bits
from rfm_spark.config.lint.links import ScoreLink, links
from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.scoring import Segment, Segmentation
from rfm_spark.config.words import found, listed
from rfm_spark.errors import Fault

MOST_COMBINATIONS = 1_000_000
MOST_CELLS = 250_000
_EXAMPLES = 3
_NOBODY = ("none", "nobody", "nothing", "no", "-")


@dataclass
class LintReport:
    """What the linter found: errors must be mended, warnings looked at."""

    errors: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)


def lint(config: ProjectConfig) -> LintReport:
    """Judge the rules of every segmentation over its score cube."""
    report = LintReport()
    for i, segmentation in enumerate(config.segmentations):
        _Linter(config, segmentation, f"segmentations[{i}]", report).run()
    return report


@dataclass
class _Rule:
    """A segment with the combinations its condition holds for, and those it wins."""

    segment: Segment
    path: str
    matches: int = 0
    wins: int = 0


class _Linter:
    def __init__(self, config: ProjectConfig, segmentation: Segmentation, path: str, report: LintReport) -> None:
        self.config, self.segmentation, self.path, self.report = config, segmentation, path, report
        self.exact = True

    def run(self) -> None:
        for i, segment in enumerate(self.segmentation.segments):
            if segment.action.channel.strip().casefold() in _NOBODY:
                message = f"nobody acts on segment {segment.name}: found channel {found(segment.action.channel)}"
                self._warn(f"{self.path}.segments[{i}].action.channel", f"{message}, expected one that reaches people")
        rules = [_Rule(segment, f"{self.path}.segments[{i}]") for i, segment in enumerate(self.segmentation.segments)]
        try:
            trees = {rule.path: expressions.parse(rule.segment.when) for rule in rules if rule.segment.when}
            self._judge(rules, trees)
        except SqlFault:  # `check` tells
            return
        except RecursionError:
            self._warn(
                self.path, "its rules were not judged: found conditions nested too deeply, expected flatter ones"
            )

    def _judge(self, rules: list[_Rule], trees: dict[str, exp.Expr]) -> None:
        conditions, space = self._space(list(trees.values()))
        cells = space.size // space.cell_width
        if space.size > MOST_COMBINATIONS or cells > MOST_CELLS:
            what = f"{cells:,} cells" if cells > MOST_CELLS else f"{space.size:,} combinations of conditions"
            most = MOST_CELLS if cells > MOST_CELLS else MOST_COMBINATIONS
            message = f"its rules were not judged: found {what}, expected at most {most:,}"
            self._warn(self.path, f"{message}; use fewer bins or simpler conditions")
            return
        self._play(rules, trees, conditions, space)

    def _space(self, trees: list[exp.Expr]) -> tuple[Conditions, Space]:
        criteria = self.config.criteria_of(self.segmentation)
        bins = {name: self._bins(name) for name in criteria}
        columns = known.metrics(self.config)
        attributes = known.attributes(self.config) | known.predicted(self.config)
        conditions = Conditions(trees, bins, columns, attributes)
        for name, criterion in criteria.items():
            term, cuts = conditions.terms.get(criterion.metric or ""), self.segmentation.scoring.of(name).cuts
            if term is not None and term.kind == "number" and cuts:
                term.cuts = cuts
        space = conditions.space()
        if space.size > MOST_COMBINATIONS:
            self.exact = False
            found_now = f"found {space.size:,} combinations of scores and other values"
            freely = "conditions on metrics and attributes were judged as if each were free of the others"
            self._warn(self.path, f"{found_now}, expected at most {MOST_COMBINATIONS:,}: {freely}")
            conditions = Conditions(trees, bins, columns, attributes, coarse=True)
            space = conditions.space()
        return conditions, space

    def _bins(self, criterion: str) -> int:
        return self.segmentation.scoring.of(criterion).bins

    # --- who wins ---

    def _play(self, rules: list[_Rule], trees: dict[str, exp.Expr], conditions: Conditions, space: Space) -> None:
        possible = remaining = self._possible(conditions, space)
        for rule in rules:
            rule.matches = possible & conditions.truth(trees[rule.path], space)[0] if rule.path in trees else possible
            rule.wins = rule.matches & remaining
            remaining &= ~rule.matches
        if remaining:
            self._gap(remaining, possible, space)
        for i, rule in enumerate(rules):
            if not rule.wins:
                self._never(rule, rules[:i])
            elif not rule.segment.otherwise:
                self._overlaps(rule, rules[:i], space)

    def _possible(self, conditions: Conditions, space: Space) -> int:
        """The combinations in which what belongs together fits together."""
        possible = space.everything
        for names, fits in links(conditions):
            possible &= space.where(names, fits)[0]
        for name, criterion in self.config.criteria_of(self.segmentation).items():
            term = conditions.terms.get(criterion.metric or "")
            if term is not None and term.kind == "number" and name in conditions.scores:
                score = ScoreLink(name, criterion, term, self._bins(name))
                possible &= space.where({name, term.text}, score.fits)[0]
        return possible

    # --- findings ---

    def _gap(self, remaining: int, possible: int, space: Space) -> None:
        cells, all_cells = space.cells(remaining), space.cells(possible)
        whole = not space.whole(cells) & possible & ~remaining
        examples = [space.described(self._one(bit, remaining, space), whole) for bit in first_bits(cells, _EXAMPLES)]
        if not any(axis.is_score for axis in space.axes):
            where = f"customers with {examples[0]}" if examples[0] else "some customers"
        else:
            where = f"{cells.bit_count()} of {all_cells.bit_count()} cells, such as {'; '.join(examples)},"
        message = f"{where} match no segment, expected a segment for each, or a last one with otherwise: true"
        (self._error if self.exact else self._warn)(f"{self.path}.segments", message)

    @staticmethod
    def _one(cell: int, bits: int, space: Space) -> int:
        """The first of the combinations of a cell that is in the set."""
        return next(first_bits(bits >> cell & (1 << space.cell_width) - 1, 1)) + cell

    def _never(self, rule: _Rule, earlier: list[_Rule]) -> None:
        name, when = rule.segment.name, rule.segment.when
        if when is None:
            self._warn(rule.path, f"nobody is left for {name}: the segments before it take every cell")
        elif not rule.matches:
            ranges = ", ".join(f"{c} 1..{self._bins(c)}" for c in self._mentioned(when))
            can_hold = f"a condition that can hold ({ranges})" if ranges else "a condition that can hold"
            self._error(
                f"{rule.path}.when", f"{name} can never fire: found {expressions.shown(when)}, expected {can_hold}"
            )
        else:
            winners = listed(other.segment.name for other in earlier if other.wins & rule.matches)
            message = f"{name} can never fire: found all it matches won by earlier segments ({winners})"
            self._error(f"{rule.path}.when", f"{message}, expected a cell of its own; move it up or narrow them")

    def _mentioned(self, when: str) -> Sequence[str]:
        names = expressions.names(when)
        return [name for name in self.config.criteria_of(self.segmentation) if name in names]

    def _overlaps(self, rule: _Rule, earlier: list[_Rule], space: Space) -> None:
        matched, won = space.cells(rule.matches), space.cells(rule.wins)
        lost = matched & ~won
        for other in earlier if lost else ():
            taken = space.cells(other.wins & rule.matches & space.whole(lost))
            if taken:
                example = space.described(next(first_bits(taken, 1)), scores_only=True)
                self._warn(
                    f"{rule.path}.when",
                    f"{rule.segment.name} matches {matched.bit_count()} cells, and {other.segment.name} before it wins "
                    f"{taken.bit_count()} of them, such as {example}",
                )

    def _error(self, path: str, message: str) -> None:
        self.report.errors.append(Fault(path, message, self.config.line(path)))

    def _warn(self, path: str, message: str) -> None:
        self.report.warnings.append(Fault(path, message, self.config.line(path)))
