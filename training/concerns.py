"""Whether a concern stands: the sentences that decide `flag`.

The label never hangs on one word. A finding is a clause that leaves a concern or does not; a
remark about the finding keeps it or overturns it. So "the finding that the payee is on the
list was withdrawn" is clear, and "the finding that the payee is not on the list was
withdrawn" is a flag. Sums are set against limits, days against deadlines, and a case may be
closed and opened again: what counts is what held last.
"""

from dataclasses import dataclass

from names import CURRENCIES, Draw, Facts, grouped

# (a concern stands, no concern stands); any matter can carry them.
FINDINGS = [
    ("the source of the money is not documented", "the source of the money is documented"),
    ("the papers do not agree with the account", "the papers do agree with the account"),
    ("only one of the two signatures was given", "both of the two signatures were given"),
    ("the case is still open", "the case is closed"),
    ("the questions have not been answered", "the questions have been answered"),
    ("a member of staff broke the rules", "a member of staff followed the rules"),
    ("the adviser acted without asking the client", "the client acted without asking the adviser"),
    ("the explanation is false", "the explanation is true"),
    ("the approval is missing", "the approval is on file"),
    ("the earlier warning was ignored", "the earlier warning was heeded"),
    ("the risk remains", "the risk is gone"),
]

# {finding} holds.
KEEPS = {
    "staff": [
        "{finding}.",
        "It is certain that {finding}.",
        "The second reviewer agrees that {finding}.",
        "The finding that {finding} was upheld.",
        "{person3} did not withdraw the finding that {finding}.",
        "The remark that {finding} still stands.",
        "At first it was doubted that {finding}; it proved right.",
        "Nobody disputes that {finding}.",
        "The finding that {finding} was withdrawn, and the withdrawal was later reversed.",
    ],
    "email": [
        "{finding}.",
        "Your letter says that {finding}; that is right.",
        "I was told that {finding}, and it is so.",
        "I no longer doubt that {finding}.",
        "Your branch stands by the statement that {finding}.",
        "Your colleague {person3} agrees that {finding}.",
        "Your branch took back the statement that {finding}, and that step was later reversed.",
    ],
    "filing": [
        "{finding}.",
        "The audit committee found that {finding}.",
        "The auditor shares the view that {finding}.",
        "Management still stands by its statement that {finding}.",
        "The statement that {finding} was upheld.",
        "Management did not withdraw the statement that {finding}.",
        "The statement that {finding} was withdrawn, and the withdrawal was later reversed.",
    ],
}

# {finding} does not hold.
OVERTURNS = {
    "staff": [
        "It is not true that {finding}.",
        "The second reviewer does not agree that {finding}.",
        "The finding that {finding} was overturned.",
        "{person3} did withdraw the finding that {finding}.",
        "The remark that {finding} no longer stands.",
        "At first it was believed that {finding}; it proved wrong.",
        "It was noted by mistake that {finding}.",
        "The finding that {finding} was withdrawn, and the withdrawal was later confirmed.",
    ],
    "email": [
        "Your letter says that {finding}; that is wrong.",
        "I was told that {finding}, and it is not so.",
        "I no longer believe that {finding}.",
        "Your branch no longer stands by the statement that {finding}.",
        "Your colleague {person3} does not agree that {finding}.",
        "Your branch took back the statement that {finding}, and that step was later confirmed.",
    ],
    "filing": [
        "The audit committee rejected the claim that {finding}.",
        "The auditor does not share the view that {finding}.",
        "Management no longer stands by its statement that {finding}.",
        "The statement that {finding} was overturned.",
        "Management did withdraw the statement that {finding}.",
        "The statement that {finding} was withdrawn, and the withdrawal was later confirmed.",
    ],
}

# Whether {finding} holds is left open; the number is the probability that it does.
OPEN_FINDINGS = [
    (0.5, "It is not known whether {finding}."),
    (0.5, "Some say that {finding}, others deny it."),
    (0.5, "Nothing on file shows whether {finding}."),
    (0.65, "It is likely, though not established, that {finding}."),
    (0.35, "It is unlikely, though not excluded, that {finding}."),
]

OPEN_LIMITS = [
    "The exact sum is missing; it lies near the limit of {limit}.",
    "The sum is given as about {limit}, and the limit is {limit}.",
]

LIMITS = [
    "The sum is {sum} and the limit is {limit}.",
    "A limit of {limit} applies; the sum is {sum}.",
    "A sum of {sum} stands against a limit of {limit}.",
    "Up to {limit} is allowed, and {sum} was moved.",
]

LIFTED = ["The limit was lifted for this customer.", "A request to lift the limit was granted."]
NOT_LIFTED = ["The limit was not lifted for this customer.", "A request to lift the limit was refused."]

DEADLINES = [
    "The reply was due within {due} days and came after {taken}.",
    "It took {taken} days to reply, and {due} are allowed.",
]

# What held last counts; both halves use the same words.
STILL_OPEN = [
    "The case was closed on {date4} and then opened again.",
    "The case was opened again after it had been closed.",
    "The case was opened, closed, and opened again.",
    "The block was lifted and then put back in place.",
]
CLOSED = [
    "The case was opened again on {date4} and then closed.",
    "The case was closed after it had been opened again.",
    "The case was closed, opened again, and closed.",
    "The block was put in place and then lifted.",
]

# Another file's finding, which says nothing about this one.
OTHER_FILES = {
    "staff": [
        "In file {reference2}, which is a different case, {finding}.",
        "Another customer's file notes that {finding}; it has no link to this one.",
    ],
    "email": [
        "A friend had a case in which {finding}; mine is a different one.",
        "In my neighbour's case, not in mine, {finding}.",
    ],
    "filing": [
        "At a former subsidiary, sold years ago, {finding}.",
        "In an unrelated case of another company, {finding}.",
    ],
}

# What the writer does about it: it follows from the concern, and is not always there.
CUES = {
    "staff": (
        ["The desk asks for a decision.", "It is passed on for a decision.", "A second opinion is urgently needed."],
        ["Nothing more is to be done.", "No further step is planned.", "The desk lets the matter rest."],
    ),
    "email": (
        ["I insist on a decision.", "Please pass this on for a decision.", "I urgently ask for help."],
        ["Nothing more is to be done.", "I ask for no further step.", "I let the matter rest."],
    ),
    "filing": (
        ["A decision of the board is needed.", "The board was urgently asked to act.", "It awaits a decision."],
        ["Nothing more is to be done.", "No further step is planned.", "The board let the matter rest."],
    ),
}

VOICES = {"alert": "staff", "note": "staff", "email": "email", "filing": "filing"}


def finding(draw: Draw, findings: list, concern: bool) -> str:
    """A clause that leaves a concern, or does not: half the time one of the matter's own."""
    pair = draw.pick(findings if draw.chance(0.5) else FINDINGS)
    return pair[0] if concern else pair[1]


@dataclass(frozen=True)
class Said:
    """What is to be said: in whose voice, with which findings of the matter, and which outcome."""

    voice: str
    findings: list
    concern: bool


@dataclass(frozen=True)
class Verdict:
    """Sentences about a concern, and how they come to what they say.

    `finding` is "concern" or "fine" as the clause, sum, day or last event has it by itself, or
    "none"; `remark` is "kept", "overturned" or "open" as the rest has it, or "none".
    """

    text: str
    finding: str
    remark: str


def settled(draw: Draw, facts: Facts, said: Said, way: str) -> Verdict:
    """Sentences from which it follows whether a concern stands."""
    concern = said.concern
    alone = "concern" if concern else "fine"
    if way == "limit":
        return against_limit(draw, concern)
    if way == "deadline":
        due = draw.between(2, 9) * 5
        taken = due + draw.between(4, 40) if concern else draw.between(1, due - 4)
        return Verdict(draw.pick(DEADLINES).format(due=due, taken=taken), alone, "none")
    if way == "course":
        return Verdict(facts.fill(draw.pick(STILL_OPEN if concern else CLOSED)), alone, "none")
    if way == "plain":
        return Verdict(facts.fill(finding(draw, said.findings, concern) + "."), alone, "none")
    overturned = draw.chance(0.4)
    remarks = (OVERTURNS if overturned else KEEPS)[said.voice]
    clause = finding(draw, said.findings, concern != overturned)
    text = facts.fill(draw.pick(remarks).replace("{finding}", clause))
    return Verdict(text, "concern" if concern != overturned else "fine", "overturned" if overturned else "kept")


def against_limit(draw: Draw, concern: bool) -> Verdict:
    """A sum and a limit, and sometimes whether the limit was lifted."""
    lifted = not concern and draw.chance(0.3)
    over = concern or lifted
    limit = draw.pick([5, 10, 15, 20, 25, 30, 40, 50, 60, 75]) * 1000
    percent = draw.between(120, 300) if over else draw.between(20, 84)
    currency = draw.pick(CURRENCIES)
    values = {
        "sum": f"{currency} {grouped(limit * percent // 100 // 100 * 100)}",
        "limit": f"{currency} {grouped(limit)}",
    }
    text = draw.pick(LIMITS).format(**values)
    alone = "concern" if over else "fine"
    if lifted:
        return Verdict(f"{text} {draw.pick(LIFTED)}", alone, "overturned")
    if draw.chance(0.25):
        return Verdict(f"{text} {draw.pick(NOT_LIFTED)}", alone, "kept")
    return Verdict(text, alone, "none")


def unsettled(draw: Draw, facts: Facts) -> tuple[Verdict, float]:
    """A sentence that leaves it open whether a concern stands, and the probability of `flag`."""
    if draw.chance(0.15):
        limit = f"{draw.pick(CURRENCIES)} {grouped(draw.between(2, 20) * 5000)}"
        return Verdict(draw.pick(OPEN_LIMITS).format(limit=limit), "none", "open"), 0.5
    concern = draw.chance(0.5)
    holds, remark = draw.pick(OPEN_FINDINGS)
    # No finding of a matter's own: it would tell the matter, which is open too.
    text = facts.fill(remark.replace("{finding}", finding(draw, FINDINGS, concern)))
    verdict = Verdict(text, "concern" if concern else "fine", "open")
    return verdict, holds if concern else 1.0 - holds


def cue(draw: Draw, voice: str, concern: bool) -> str:
    """A sentence on what the writer does about it."""
    return draw.pick(CUES[voice][0 if concern else 1])


def other_file(draw: Draw, facts: Facts, voice: str, findings: list) -> str:
    """A finding about some other case, with or without a concern."""
    clause = finding(draw, findings, draw.chance(0.5))
    return facts.fill(draw.pick(OTHER_FILES[voice]).replace("{finding}", clause))
