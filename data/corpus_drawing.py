"""One attempt at a stay: its parts in the order in which they depend on each other, down to a coder's claim.

Everything random comes from the `random.Random` that is passed in, so a stay depends on nothing but its plan and its seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from data.corpus_levels import LEVELS, is_hac, rank_beside, table_level
from data.corpus_plan import Plan, fits, procedure_ids
from data.corpus_tables import DISPOSITIONS, Coding, Condition, Procedure, Tables
from sapphire.drg.coding import Coded, code_as_a_coder
from sapphire.drg.grouper import Claim

MOST = 7  # conditions of a stay, the principal among them, before what must be added


@dataclass(frozen=True, slots=True)
class Mention:
    """What the note is to name. `role`: principal, rival, secondary, procedure, history, family history, ruled out, resolved.

    `late`: arose in hospital. `uncertain`: only ever called probable.
    """

    record: Condition | Procedure
    coding: Coding
    role: str
    late: bool = False
    uncertain: bool = False

    @property
    def key(self) -> str:
        return f"{self.role} {self.record.id}"


class Pools:
    """The tables with what a draw looks up: the general comorbidities of each setting, and what may be named as past."""

    def __init__(self, tables: Tables):
        everything = list(tables.conditions.values())
        self.tables = tables
        self.chances = {name: float(share) for name, share in tables.style["traps"].items()}
        self._everything, self._general = everything, {}
        self.past = {
            "history": [c for c in everything if c.history],
            "family history": [c for c in everything if c.family],
            "resolved": [c for c in everything if c.resolved],
        }
        self.hospital_acquired = [
            c for c in everything if c.kind == "secondary" and any(map(is_hac, c.codings[0].codes))
        ]
        self.grave = [c for c in everything if c.kind == "secondary" and c.level == "MCC"]

    def general_at(self, setting: str, age: int) -> list[tuple[Condition, float]]:
        """The comorbidities that anyone of this setting and age may have, with their chances."""
        if (setting, age) not in self._general:
            found = [(c, c.chance_at(age)) for c in self._everything if setting in c.pool and setting != "none"]
            self._general[setting, age] = [(c, chance) for c, chance in found if chance > 0]
        return self._general[setting, age]


class Drawing:
    """Who, where, what accompanies, what is done, what is only mentioned; then `claim()`."""

    def __init__(self, pools: Pools, plan: Plan, rng: Random):
        self.pools, self.tables, self.plan, self.rng = pools, pools.tables, plan, rng
        self.record = self.tables.conditions[plan.condition]
        self.coding = _pick(rng, self.record.codings)
        self.age = _age(rng, self.record.age)
        self.sex = "M" if rng.random() < self.record.men else "F"
        self.disposition = self._disposition()
        self.mentions: list[Mention] = []
        self.chosen: list[Condition] = [self.record]
        self.extras = self.sibling_denied = False
        uncertain = self.record.uncertain and rng.random() < pools.chances["uncertain"]
        self.mentions.append(Mention(self.record, self.coding, "principal", uncertain=uncertain))
        self._rival()
        self._secondaries()
        self._procedures()
        self._mentioned_only()
        self.days = self._days()

    # ------------------------------------------------------------ who and where
    def _disposition(self) -> str:
        if self.plan.disposition != "home":
            return self.plan.disposition
        for ages, shares in self.tables.style["goes"].items():
            low, _, high = ages.partition("-")
            if int(low) <= self.age <= int(high):
                return _weighted(self.rng, [(name, float(share)) for name, share in shares.items()])
        return "home"

    def _days(self) -> int:
        low, high = self.record.los
        days = self.rng.randint(low, high) + {"MCC": self.rng.randint(2, 5), "CC": self.rng.randint(0, 2)}.get(
            self.plan.severity, 0
        )
        ventilated = any("5A1955Z" in m.coding.codes for m in self.mentions)
        return days + self.rng.randint(8, 14) if ventilated else days

    # ------------------------------------------------------------ what accompanies
    def _fits(self, other: Condition) -> bool:
        low, high = other.age
        if not low <= self.age <= high or (other.men >= 1 and self.sex == "F") or (other.men <= 0 and self.sex == "M"):
            return False
        return all(
            other.id != present.id and other.id not in present.siblings and present.id not in other.siblings
            for present in self.chosen
        )

    def _unlike_principal(self, other: Condition) -> bool:
        """A comorbidity of the principal's own category comes only where the tables name it."""
        return other.codings[0].codes[0][:3] != self.coding.codes[0][:3]

    def _level(self, condition: Condition) -> int:
        """The highest level among the record's codes that would count beside this principal diagnosis."""
        return rank_beside(self.coding.codes[0], condition.codings[0].codes, self.disposition == "died")

    def _take(self, condition: Condition, role: str = "secondary", late: bool = False) -> None:
        late = late or (role == "secondary" and self.rng.random() < condition.onset)
        rare = self.rng.random() < self.pools.chances["uncertain"] / 4
        uncertain = role == "secondary" and not late and condition.uncertain and rare
        self.chosen.append(condition)
        self.mentions.append(Mention(condition, _pick(self.rng, condition.codings), role, late, uncertain))

    def _rival(self) -> None:
        chance = self.pools.chances["rival"]
        for name in self.record.rivals:
            other = self.tables.conditions[name]
            if (
                self.rng.random() < chance
                and self._fits(other)
                and self._level(other) <= LEVELS.index(self.plan.severity)
            ):
                self._take(other, "rival")
                return

    def _secondaries(self) -> None:
        rng, target = self.rng, LEVELS.index(self.plan.severity)
        # What hangs on a second diagnosis (MDC 24, HIV) names it with chance 1: that one always comes.
        likely = [(self.tables.conditions[name], share) for name, share in self.record.with_.items()]
        for condition, share in likely:
            if rng.random() < share and self._fits(condition) and (share >= 1 or self._level(condition) <= target):
                self._take(condition)
        general = self.pools.general_at(self.record.pool[0], self.age)
        background = [condition for condition, chance in general if rng.random() < chance]
        rng.shuffle(background)
        for condition in background:
            if len(self.chosen) < MOST and self._welcome(condition) and self._level(condition) <= target:
                self._take(condition)
        if target and all(self._level(condition) < target for condition in self.chosen[1:]):
            weights = [(c, share) for c, share in likely if self._level(c) == target and self._fits(c)]
            weights += [(c, chance) for c, chance in general if self._level(c) == target and self._welcome(c)]
            if weights:
                self._take(_weighted(rng, weights))

        self._without_weight([c for c, _ in (*likely, *general)])

    def _without_weight(self, choices: list[Condition]) -> None:
        """Traps: a CC or MCC that does not count beside this principal diagnosis, because the patient died, or because it was
        acquired in the hospital."""
        died = self.disposition == "died"
        if self.rng.random() < (0.6 if died else self.pools.chances["excluded"]):
            choices = choices + (self.pools.grave if died else [])
            lost = [c for c in choices if self._level(c) < table_level(c) and self._level(c) == 0 and self._fits(c)]
            if lost:
                self._take(self.rng.choice(lost))
        if self.rng.random() < self.pools.chances["hospital_acquired"]:
            acquired = [c for c in self.pools.hospital_acquired if self._welcome(c)]
            if acquired:
                self._take(self.rng.choice(acquired), late=True)

    def _welcome(self, condition: Condition) -> bool:
        return self._unlike_principal(condition) and self._fits(condition)

    # ------------------------------------------------------------ what is done
    def _procedures(self) -> None:
        rng, slots = self.rng, dict(self.coding.slots)
        names = list(self.plan.procedures)
        for name, share in self.record.extras.items():
            if rng.random() < share:
                names += procedure_ids(name)
                self.extras = True
        # What a principal condition of the tables is operated for is a stay of its own; beside another it brings no procedure.
        for condition in (chosen for chosen in self.chosen[1:] if chosen.kind == "secondary"):
            shares = list(condition.procedures.items())
            key = _weighted(rng, [*shares, ("none", max(0.0, 1 - sum(share for _, share in shares)))])
            names += procedure_ids(key)
        for name in dict.fromkeys(names):
            record = self.tables.procedures[name]
            coding = _pick(rng, [coding for coding in record.codings if fits(coding, slots)] or record.codings)
            done = {code for mention in self.mentions for code in mention.coding.codes}
            if not set(coding.codes) & done:
                slots |= coding.slots
                self.mentions.append(Mention(record, coding, "procedure"))

    # ------------------------------------------------------------ what is only mentioned
    def _mentioned_only(self) -> None:
        rng, chance = self.rng, self.pools.chances
        for role, conditions in self.pools.past.items():
            if rng.random() < chance[role.split()[0]]:
                choices = [c for c in conditions if self._welcome(c) and self._may_be_denied(c)]
                if choices:
                    self._only(rng.choice(choices), role)
        if rng.random() < chance["ruled_out"]:
            choices = [self.tables.conditions[name] for name in self.record.differential]
            choices = [c for c in choices if self._fits(c) and self._may_be_denied(c)]
            if choices:
                self._only(rng.choice(choices), "ruled out")
        if rng.random() < chance["sibling"]:
            present = rng.choice(self.chosen)
            choices = [self.tables.conditions[name] for name in present.siblings]
            choices = [c for c in choices if c.uncertain and self._may_be_denied(c)]
            if choices:
                self.sibling_denied = True
                self._only(rng.choice(choices), "ruled out")

    def _may_be_denied(self, other: Condition) -> bool:
        """A neighbour of what is present: never one whose codes the stay has, nor what is already mentioned."""
        codes = {code for mention in self.mentions for code in mention.coding.codes}
        taken = {mention.record.id for mention in self.mentions}
        return other.id not in taken and not codes & {c for coding in other.codings for c in coding.codes}

    def _only(self, condition: Condition, role: str) -> None:
        self.chosen.append(condition)
        self.mentions.append(Mention(condition, _pick(self.rng, condition.codings), role))

    # ------------------------------------------------------------ codes
    def claim(self) -> tuple[Claim, list[Coded]]:
        plain: list[Coded] = []
        for mention in self.mentions:
            poa = "N" if mention.late else "Y"
            if mention.role in ("principal", "rival", "secondary"):
                plain += [Coded(code, mention.key, poa) for code in mention.coding.codes]
            elif (code := _status_code(mention)) != "":
                plain.append(Coded(code, mention.key))
        coded = code_as_a_coder(self.tables.rules, plain)
        procedures = tuple(c for mention in self.mentions if mention.role == "procedure" for c in mention.coding.codes)
        claim = Claim(
            pdx=coded[0].code,
            sdx=tuple(item.code for item in coded[1:]),
            procedures=tuple(dict.fromkeys(procedures)),
            age=self.age,
            sex=self.sex,
            discharge_status=DISPOSITIONS[self.disposition],
            poa=tuple(item.poa for item in coded),
            hospital_status="NOT_EXEMPT",
        )
        return claim, coded


def _status_code(mention: Mention) -> str:
    """The Z code of what is past, "" where there is none."""
    code = {"history": "history", "family history": "family"}.get(mention.role)
    value = getattr(mention.record, code) if code else ""
    return "" if value == "none" else value


def _pick(rng: Random, codings: Sequence[Coding]) -> Coding:
    return codings[0] if len(codings) == 1 else _weighted(rng, [(coding, coding.weight) for coding in codings])


def _weighted(rng: Random, pairs: Sequence[tuple]):
    """One of the first items of the pairs, by the weights that are their second ones."""
    point = rng.random() * sum(weight for _, weight in pairs)
    for item, weight in pairs:
        point -= weight
        if point < 0:
            return item
    return pairs[-1][0]


def _age(rng: Random, ages: tuple[int, int]) -> int:
    low, high = ages
    high = min(high, 97)
    return round(rng.triangular(low, high, low + 0.62 * (high - low))) if high > low else low
