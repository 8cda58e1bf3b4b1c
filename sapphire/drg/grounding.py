"""What a note's finds lead to: conditions with their chance of being reported, and the DRGs that the grouper gives for them.

    ground(text, version, age, sex, discharge_status, leaning) -> Grounding
    baseline(text, …) -> (drg, candidates)           # the condition index with the grouper, and no model

A candidate's probability is p(principal diagnosis) x p(severity), summed over all ways to the DRG: each likely principal diagnosis is
grouped with the likely procedures and, in turn, with no CC or MCC, with the CCs and with the MCCs that the note names. What the note's words as
a whole speak for (`leanings.py`) weighs in, and leads by itself to base DRGs of which no find does.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from sapphire.drg.codebook import DEFAULT_VERSION, codebook
from sapphire.drg.coding import Coded, code_as_a_coder, rules
from sapphire.drg.conditions import Find, find, name
from sapphire.drg.grouper import UNGROUPABLE, Claim, drg_of
from sapphire.drg.leanings import Leanings, leanings
from sapphire.drg.patient import Patient, patient
from sapphire.drg.ranking import Condition, Features, Prior, chance, gathered, prior, score, shared, softmax
from sapphire.drg.status import FAMILY, PRESENT, UNCERTAIN

PRINCIPALS = 10  # diagnoses weighed as principal
OPERATED = 4  # of these, weighed with other procedures too
DOUBTFUL = (0.08, 0.92)  # chances of a procedure that may or may not be reported

ALTERNATIVES = 3  # changes of the likeliest set of procedures
CANDIDATES = 5
FAR, UNLIKE = 30, -1.5  # rank and score of a base DRG of which the words say nothing
LEANINGS = 5  # base DRGs for which the words speak most, each a way of its own where no diagnosis leads there
ELSEWHERE = 0.01  # chance of a DRG that is no candidate
REPORTED = 0.5  # chance from which a condition is taken as reported
UNRELATED = ("981", "982", "983", "987", "988", "989")


@dataclass(frozen=True, slots=True)
class Way:
    """One principal diagnosis and the DRGs to which it leads: without CC or MCC, with the CCs, with the MCCs.

    `condition` is None where the words as a whole lead to the base DRG; `code` is then its commonest principal diagnosis.
    """

    condition: Condition | None
    code: str
    features: Features
    drgs: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A DRG with its probability among the candidates and the principal diagnosis that leads to it most likely.

    `found`: the note names that diagnosis; otherwise it is the base DRG's commonest one, and the words as a whole speak for the DRG.
    """

    drg: str
    title: str
    probability: float
    code: str
    name: str
    found: bool = True


@dataclass(frozen=True, slots=True)
class Grounding:
    """`conditions` in the order of the note, `candidates` the most likely first.

    `coded` is what a coder would report if the likeliest principal diagnosis were right, that one first; the `source` of a code is
    the index of its condition; empty where no diagnosis of the note can be grouped, and the words alone lead to the candidates.
    """

    conditions: tuple[Condition, ...]
    candidates: tuple[Candidate, ...]
    coded: tuple[Coded, ...]
    patient: Patient


def support(grounding: Grounding, drg: str) -> float:
    """The chance (0 to 1) that the index gives a DRG; 1% where it is not among the candidates."""
    return next((each.probability for each in grounding.candidates if each.drg == drg), ELSEWHERE)


def ground(
    text: str,
    version: str = DEFAULT_VERSION,
    age: int | None = None,
    sex: str | None = None,
    discharge_status: int | None = None,
    leaning: Leanings | None = None,
) -> Grounding:
    """The conditions of a note and its candidate DRGs; none where the note names nothing that the index knows.

    `leaning` is taken instead of what the classifier says of the text.
    """
    who = patient(text, age, sex, discharge_status)
    return _grounded(text, version, who, leaning) if leaning else _ground(text, version, who)


@lru_cache(maxsize=64)
def _ground(text: str, version: str, who: Patient) -> Grounding:
    return _grounded(text, version, who, leanings(text))


def _grounded(text: str, version: str, who: Patient, leaning: Leanings) -> Grounding:
    conditions = judged(gathered(fitting(find(text, version), who)), text, prior())
    if not conditions:  # words speak for something even in a text that is no note
        return Grounding((), (), (), who)
    ways = principal_ways(conditions, text, who, version, prior(), leaning)
    odds = softmax([score(way.features, "principal") for way in ways])
    named = [(odd, way.condition) for odd, way in zip(odds, ways, strict=True) if way.condition]
    # What is denied or past may be wrongly read as such, and can lead; but not before what is stated.
    first = max(named, key=lambda pair: (pair[1].status in (PRESENT, UNCERTAIN), pair[0]), default=(0.0, None))[1]
    coded = tuple(_coded(first, conditions)) if first else ()
    return Grounding(tuple(conditions), candidates(ways, odds, conditions, leaning, version), coded, who)


def fitting(finds: Sequence[Find], who: Patient) -> list[Find]:
    """The finds whose codes can be of this patient: no birth code for an adult, no pregnancy for a man."""
    never = [codes for unlikely, codes in _NEVER if unlikely(who)]
    return [each for each in finds if not any(each.codes[0].startswith(codes) for codes in never)]


_NEVER = (
    (lambda who: who.age > 0, ("P", "Z38")),
    (lambda who: who.sex == "M" or not 9 <= who.age <= 60, ("O", "10D", "10E", "10907", "Z370")),
    (
        lambda who: who.sex == "M",
        ("C51", "C52", "C53", "C54", "C55", "C56", "C57", "D25", "N7", "N80", "N81", "N83", "N84", "N85", "N9", "0U"),
    ),
    (
        lambda who: who.sex == "F",
        ("C60", "C61", "C62", "C63", "N40", "N41", "N43", "N44", "N45", "N46", "N47", "N48", "N49", "0V"),
    ),
)


def _coded(first: Condition, conditions: Sequence[Condition]) -> list[Coded]:
    """The diagnoses that are taken as reported, as a coder would code them with `first` as principal diagnosis."""
    plain = [Coded(code, str(conditions.index(first))) for code in first.codes]
    for i, each in enumerate(conditions):
        if each.kind == "diagnosis" and each.chance >= REPORTED and each is not first:
            plain += [Coded(code, str(i)) for code in each.codes]
    return code_as_a_coder(rules(), plain)


def baseline(
    text: str,
    version: str = DEFAULT_VERSION,
    age: int | None = None,
    sex: str | None = None,
    discharge_status: int | None = None,
) -> tuple[str | None, tuple[Candidate, ...]]:
    """The DRG that index and grouper give without any model (None without a candidate), and all candidates."""
    candidates = ground(text, version, age, sex, discharge_status).candidates
    return (candidates[0].drg if candidates else None), candidates


def judged(conditions: Sequence[Condition], text: str, known: Prior, less: dict | None = None) -> list[Condition]:
    """The conditions with their chance of being reported. `less`: what this note itself adds to the counts (in training)."""
    return [
        replace(each, chance=chance(f, "reported"))
        for each, f in zip(conditions, features(conditions, text, known, less), strict=True)
    ]


def features(conditions: Sequence[Condition], text: str, known: Prior, less: dict | None = None) -> list[Features]:
    """The shared features of each condition."""
    order: dict[str, int] = defaultdict(int)
    total = {kind: sum(each.kind == kind for each in conditions) for kind in ("diagnosis", "procedure")}
    out = []
    for each in conditions:
        rates = known.rates(each.codes[0], (less or {}).get(each.codes[0], (0, 0, 0)))
        values = shared(each, text, rates, order[each.kind], total[each.kind])
        if each.kind == "procedure":
            values = {name: value for name, value in values.items() if name in ("rate", "seen", "score", "weight")} | {
                f"procedure: {name}": value for name, value in values.items()
            }
        out.append(values)
        if each.status in (PRESENT, UNCERTAIN):
            order[each.kind] += 1
    return out


def principal_ways(
    conditions: Sequence[Condition],
    text: str,
    who: Patient,
    version: str,
    known: Prior,
    leaning: Leanings,
    less: dict | None = None,
) -> list[Way]:
    """Every diagnosis that could be the principal one, with features and DRGs; then what the words alone lead to, by `leaning`."""
    values = features(conditions, text, known, less)
    possible = [
        (each, f)
        for each, f in zip(conditions, values, strict=True)
        if each.kind == "diagnosis" and each.status != FAMILY
    ]
    possible.sort(key=lambda pair: -score(pair[1], "principal"))
    reported = [each for each in conditions if each.chance >= REPORTED]
    sets = _procedure_sets(conditions)
    ways = []
    for rank, (each, f) in enumerate(possible[:PRINCIPALS]):
        seen = set()
        for done, odds in sets if rank < OPERATED else sets[:1]:
            drgs, code = _grouped(each, reported, conditions, done, who, version)
            if drgs and drgs not in seen:
                seen.add(drgs)
                ways.append(Way(each, code, f | _led_to(drgs[-1], version) | {"procedures": odds}, drgs))
    return _weighed(ways, leaning, version)


def _weighed(ways: Sequence[Way], leaning: Leanings, version: str) -> list[Way]:
    """The ways with what the words say of their base DRGs, and the base DRGs for which the words speak and no way does."""
    drgs = codebook(version).drgs
    families = _families(version)
    known = leaning.bases
    order = sorted((base for base in known if base in families), key=lambda base: -known[base].score)
    place = {base: i for i, base in enumerate(order)}
    best = known[order[0]].score
    best_mdc = max(leaning.mdcs.values())

    def said(led: Sequence[str]) -> Features:
        base = min((drgs[drg].base for drg in led), key=lambda base: place.get(base, FAR))
        value = known[base].score if base in known else UNLIKE
        rank = min(place.get(base, FAR), FAR)
        mdc = max(leaning.mdcs.get(drgs[drg].mdc, UNLIKE) for drg in led)
        return {
            "words": value,
            "words behind": best - value,
            "words rank": math.log1p(rank),
            "MDC": mdc,
            "MDC behind": best_mdc - mdc,
            "MDC first": float(mdc == best_mdc),
            "operated": leaning.surgical * {"surgical": 1, "medical": -1}.get(drgs[led[-1]].type, 0),
        }

    out, reached = [], set()
    for way in ways:
        reached.update(drgs[drg].base for drg in way.drgs)
        out.append(replace(way, features=way.features | said(way.drgs)))
    for base in order[:LEANINGS]:
        if base not in reached:
            led = families[base]
            alone = {"words only": 1.0, "words only, behind": best - known[base].score}
            alone["words only, surgical"] = float(drgs[led[0]].type == "surgical")
            out.append(Way(None, known[base].code, said(led) | alone | _led_to(led[-1], version), led))
    return out


@cache
def _families(version: str) -> dict[str, tuple[str, str, str]]:
    """Base DRG's title → its DRGs without CC or MCC, with CC, with MCC."""
    levels: dict[str, dict[str, str]] = defaultdict(dict)
    for each in codebook(version).drgs.values():
        levels[each.base][each.level] = each.drg
    wanted = (("none", "without MCC", "CC/MCC"), ("CC", "CC/MCC", "without MCC", "none"), ("MCC", "CC/MCC", "CC"))
    return {
        base: tuple(next(of[level] for level in (*names, "unsplit", *of) if level in of) for names in wanted)
        for base, of in levels.items()
    }


def _procedure_sets(conditions: Sequence[Condition]) -> list[tuple[tuple[str, ...], float]]:
    """Which procedures may be reported, the likeliest set first, then each change of one doubtful one; with the change's log odds."""
    named = [each for each in conditions if each.kind == "procedure"]
    likely = [each for each in named if each.chance >= REPORTED]
    out = [(likely, 0.0)]
    doubtful = sorted(
        (each for each in named if DOUBTFUL[0] < each.chance < DOUBTFUL[1]),
        key=lambda each: abs(each.chance - REPORTED),
    )
    for each in doubtful[:ALTERNATIVES]:
        odds = math.log(each.chance / (1 - each.chance))
        changed = [other for other in likely if other is not each] if each in likely else [*likely, each]
        out.append((changed, -abs(odds)))
    return [(tuple(dict.fromkeys(code for each in group for code in each.codes)), odds) for group, odds in out]


def _led_to(drg: str, version: str) -> Features:
    known = codebook(version).drgs[drg]
    return {
        "operation unrelated": float(drg in UNRELATED),
        "surgical DRG": float(known.type == "surgical"),
        "other surgical DRG": float(known.type == "surgical" and known.title.startswith("Other")),
        "DRG weight": known.weight or 0.0,
    }


def _grouped(
    first: Condition,
    reported: Iterable[Condition],
    named: Iterable[Condition],
    done: tuple[str, ...],
    who: Patient,
    version: str,
) -> tuple[tuple[str, str, str] | None, str]:
    """The DRGs of the three severities with this principal diagnosis, and its code after the coder's rules."""
    rest = [each for each in reported if each.kind == "diagnosis" and each is not first]
    weighty = [each for each in named if each.level in ("CC", "MCC") and each.chance > 0.1 and each is not first]
    plain = [code for each in rest if each.level == "none" for code in each.codes]
    ccs = [code for each in weighty if each.level == "CC" for code in each.codes]
    mccs = [code for each in weighty if each.level == "MCC" for code in each.codes]
    out, lead = [], ""
    for secondary in (plain, [*plain, *ccs], [*plain, *ccs, *mccs]):
        coded = _reported((*first.codes, *secondary))
        lead = coded[0]
        drg = drg_alone(_claim(coded, done, who, version))
        if drg in UNGROUPABLE:
            return None, lead
        out.append(drg)
    return (out[0], out[1], out[2]), lead


@lru_cache(maxsize=500_000)
def drg_alone(claim: Claim) -> str:
    """The DRG of a claim, without why; remembered, since the ways of a note share most of their claims."""
    return drg_of(claim)[0]


@lru_cache(maxsize=10_000)
def _reported(codes: tuple[str, ...]) -> tuple[str, ...]:
    """The codes as a coder would report them; the same ones come again with every set of procedures."""
    return tuple(each.code for each in code_as_a_coder(rules(), [Coded(code, "") for code in codes]))


def _claim(codes: Sequence[str], procedures: tuple[str, ...], who: Patient, version: str) -> Claim:
    return Claim(
        pdx=codes[0],
        sdx=tuple(codes[1:]),
        procedures=procedures,
        age=who.age,
        sex=who.sex,
        discharge_status=who.discharge_status,
        poa=("Y",) * len(codes),
        hospital_status="NOT_EXEMPT",
        version=version,
    )


def severities(conditions: Iterable[Condition], without: Condition | None) -> tuple[float, float, float]:
    """The chances that no CC or MCC, a CC at most, and an MCC is reported beside a principal diagnosis."""
    no_mcc = no_cc = 1.0
    for each in conditions:
        if each is without or each.kind != "diagnosis":
            continue
        if each.level == "MCC":
            no_mcc *= 1 - each.chance
        elif each.level == "CC":
            no_cc *= 1 - each.chance
    return no_mcc * no_cc, no_mcc * (1 - no_cc), 1 - no_mcc


def _shares(way: Way, conditions: Sequence[Condition], leaning: Leanings, version: str) -> list[float]:
    """The chances of a way's three severities: by the conditions named, times the odds that the words as a whole give the level."""
    drgs = codebook(version).drgs
    spoken = [math.exp(leaning.levels.get(drgs[drg].level, UNLIKE)) for drg in way.drgs]
    shares = [a * b for a, b in zip(severities(conditions, way.condition), spoken, strict=True)]
    whole = sum(shares)
    return [share / whole for share in shares]


def candidates(
    ways: Sequence[Way], odds: Sequence[float], conditions: Sequence[Condition], leaning: Leanings, version: str
) -> tuple[Candidate, ...]:
    """The likeliest DRGs of the ways, whose chances are `odds`."""
    total: dict[str, float] = defaultdict(float)
    best: dict[str, tuple[float, Way]] = {}
    for way, likely in zip(ways, odds, strict=True):
        for drg, share in zip(way.drgs, _shares(way, conditions, leaning, version), strict=True):
            total[drg] += likely * share
            if likely * share > best.get(drg, (-1.0, way))[0]:
                best[drg] = (likely * share, way)
    drgs = codebook(version).drgs
    ranked = sorted(total, key=lambda drg: -total[drg])[:CANDIDATES]
    return tuple(
        Candidate(drg, drgs[drg].title, round(total[drg], 4), way.code, name((way.code,)), way.condition is not None)
        for drg, way in ((drg, best[drg][1]) for drg in ranked)
    )
