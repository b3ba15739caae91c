"""One document from a seed: its text, its form and its two labels.

A document is put together from an opening and a close of its form, an account of its matter
(matters.py), the sentences that settle whether a concern stands (concerns.py) and filler.
About one in eight leaves both labels open; its labels are then drawn with the probability
that stands beside the sentence used.
"""

import hashlib

import concerns
from matters import BARE_ACCOUNTS, CORRECTIONS, DISMISSALS, MATTERS, OPEN_MATTERS
from names import Draw, Facts
from splits import Mix, Split

AMBIGUOUS_SHARE = 0.13
WORDS_MIN, WORDS_MAX = 30, 90

OPENINGS = {
    "alert": [
        "Alert {reference}, {date}. Account {account}, rule {rule}.",
        "ALERT {reference} | {date} | rule {rule}",
        "Transaction alert of {date}, account {account}.",
        "Monitoring, {date}: rule {rule} fired on account {account}.",
    ],
    "note": [
        "KYC note, {date}, by {person4}.",
        "Customer file {reference}, note of {date}.",
        "Note to file {reference} after a meeting in {city3}.",
        "Review of {date}. Adviser: {person4}.",
    ],
    "email": [
        "Subject: my account {reference}\nDear Sir or Madam,",
        "Subject: your letter of {date}\nGood morning,",
        "Subject: question\nDear {person4},",
        "Hello, this is about {reference}.",
    ],
    "filing": [
        "Item {rule}. Period ended {date}.",
        "Note {rule} to the accounts, {date}.",
        "Report on the year, page {rule}.",
        "Form of {date}, section {rule}.",
    ],
}

CLOSES = {
    "alert": ["Queue: {city3}.", "Analyst: {person4}.", "End of alert.", "Logged at {city3}."],
    "note": ["Filed by {person5}.", "Next review in {month2}.", "Copy to {city3}.", "End of note."],
    "email": [
        "Kind regards, {person5}", "Yours, {person5}", "Please write back by {month2}. {person5}",
        "Thank you. {person5}",
    ],
    "filing": ["Figures are unaudited.", "See also note {rule}.", "Signed in {city3}.", "End of section."],
}

FILLERS = {
    "any": [
        "The office is in {city4}.",
        "The weather in {city4} delayed the post.",
        "The text was translated in {city4}.",
        "{country3} and {country4} are the main markets.",
        "Trade with {country3} is unchanged.",
        "Other points will follow later.",
    ],
    "alert": [
        "The customer has been with the bank for {count2} years.",
        "The account was opened in {month3}.",
        "The file was last read in {month3}.",
        "Further papers are kept under {reference3}.",
    ],
    "note": [
        "The customer has been with the bank for {count2} years.",
        "A copy went to the branch in {city4}.",
        "The call lasted {count2} minutes.",
        "{person6} was on leave at the time.",
    ],
    "email": [
        "I have been with your bank for {count2} years.",
        "My call lasted {count2} minutes.",
        "You can reach {person6} while I travel.",
        "The statement for {month3} is attached.",
    ],
    "filing": [
        "The firm employs {count2}00 people in {city4}.",
        "Sums are rounded.",
        "The text of {month3} was amended in part.",
        "Comparative figures stand under {reference3}.",
    ],
}


def compose(seed: str, mix: Mix) -> dict:
    """A document without its id, and with how its flag came about (finding and remark)."""
    draw = Draw(seed)
    facts = Facts(draw)
    ambiguous = draw.chance(AMBIGUOUS_SHARE)
    matter = draw.weighted({name: matter.weight for name, matter in MATTERS.items()})
    form = draw.weighted(MATTERS[matter].forms)
    voice = concerns.VOICES[form]
    if ambiguous:
        matter, account = open_matter(draw, facts, matter)
        verdict, probability = concerns.unsettled(draw, facts)
        concern = draw.chance(probability)
    else:
        account, vague = plain_matter(draw, facts, matter, draw.weighted(mix.matter_ways))
        concern = draw.chance(mix.routine_concern if matter == "routine" else mix.concern)
        # A finding of the matter's own would give a matter away that only the order of words tells.
        findings = concerns.FINDINGS if vague else MATTERS[matter].findings
        said = concerns.Said(voice, findings, concern)
        verdict = concerns.settled(draw, facts, said, draw.weighted(mix.verdict_ways))
    body = account + [verdict.text]
    if not ambiguous and draw.chance(mix.cue):
        body.append(concerns.cue(draw, voice, concern))
    if draw.chance(mix.other_file):
        body.insert(draw.below(len(body) + 1), concerns.other_file(draw, facts, voice, concerns.FINDINGS))
    return {
        "text": with_typos(draw, laid_out(draw, facts, form, body)),
        "form": form,
        "classify": matter,
        "flag": "flag" if concern else "clear",
        "ambiguous": ambiguous,
        "finding": verdict.finding,
        "remark": verdict.remark,
    }


def plain_matter(draw: Draw, facts: Facts, matter: str, way: str) -> tuple[list, bool]:
    """Sentences that show the matter, and whether only the order of their words does."""
    other = draw.pick([name for name in MATTERS if name != matter])
    nouns = {"true": draw.pick(MATTERS[matter].nouns), "other": draw.pick(MATTERS[other].nouns)}
    if way == "correction":
        correction = draw.pick(CORRECTIONS).format(**nouns)
        return [facts.fill(draw.pick(BARE_ACCOUNTS)), correction], True
    account = [facts.fill(draw.pick(MATTERS[matter].accounts))]
    if way == "dismissal":
        dismissal = draw.pick(DISMISSALS).format(**nouns)
        account.insert(draw.below(2), dismissal[0].upper() + dismissal[1:])
    return account, False


def open_matter(draw: Draw, facts: Facts, first: str) -> tuple[str, list]:
    """The matter drawn, and sentences that leave it open between two."""
    second = draw.pick([name for name in MATTERS if name != first])
    probability, template = draw.pick(OPEN_MATTERS)
    sentence = template.format(first=draw.pick(MATTERS[first].nouns), second=draw.pick(MATTERS[second].nouns))
    drawn = first if draw.chance(probability) else second
    return drawn, [facts.fill(draw.pick(BARE_ACCOUNTS)), sentence]


def laid_out(draw: Draw, facts: Facts, form: str, body: list) -> str:
    """The body between an opening and a close, with filler until it is long enough."""
    opening = facts.fill(draw.pick(OPENINGS[form]))
    close = facts.fill(draw.pick(CLOSES[form]))
    wanted = draw.between(WORDS_MIN, 48)
    unused = FILLERS["any"] + FILLERS[form]
    while len(" ".join([opening, *body, close]).split()) < wanted and unused:
        filler = unused.pop(draw.below(len(unused)))
        body.insert(draw.below(len(body) + 1), facts.fill(filler))
    gap = "\n" if draw.chance(0.5) else " "
    return gap.join([opening, " ".join(body), close])


def with_typos(draw: Draw, text: str) -> str:
    """The text, in one of six cases with two neighbouring letters of a long word swapped."""
    if not draw.chance(0.16):
        return text
    words = text.split(" ")
    places = [at for at, word in enumerate(words) if len(word) >= 7 and word.isalpha()]
    if not places:
        return text
    at = draw.pick(places)
    letter = draw.between(2, len(words[at]) - 3)
    word = words[at]
    words[at] = word[:letter] + word[letter + 1] + word[letter] + word[letter + 2 :]
    return " ".join(words)


ID_PREFIXES = {"demo": "doc"}


def documents(split: Split):
    """The documents of a split, all different, each made from seed, split and number alone."""
    seen = set()
    number = 0
    prefix, width = ID_PREFIXES.get(split.name, split.name), len(str(split.count))
    while len(seen) < split.count:
        document = compose(f"tiergate/{split.seed}/{split.name}/{number}", split.mix)
        number += 1
        digest = hashlib.sha256(document["text"].encode()).digest()
        if digest in seen or not WORDS_MIN <= len(document["text"].split()) <= WORDS_MAX:
            continue
        seen.add(digest)
        yield {"id": f"{prefix}-{len(seen):0{width}d}", **document}
