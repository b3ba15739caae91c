"""What a document is about: the words of each of the seven matters.

Each matter has `nouns` (how a note names it), `accounts` (sentences that show it without
naming it) and `findings` (pairs of clauses: one that leaves a concern, one that does not).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Matter:
    """One label of `classify`."""

    weight: float
    forms: dict
    nouns: list
    accounts: list
    findings: list


MATTERS = {
    "fraud": Matter(
        weight=0.14,
        forms={"alert": 4, "note": 2, "email": 3, "filing": 1.5},
        nouns=[
            "fraud", "a forged invoice", "an account takeover", "card theft", "a swindle",
            "identity theft", "a false director", "deception of a customer",
        ],
        accounts=[
            "{person} sent {amount} to {company2} after a call from somebody who posed as the bank.",
            "The invoice from {company2} for {amount} shows bank details that differ from earlier ones.",
            "A new device in {country} entered the account of {person} and changed the telephone number.",
            "The card of {person} was used in {city} and in {city2} within one hour, for {amount} in all.",
            "The signature on the cheque for {amount} does not look like the specimen of {person}.",
            "Somebody took out a loan of {amount} in the name of {person} with a borrowed identity card.",
            "A message in the name of the director of {company} asked the cashier to send {amount} at once.",
            "The shop of {company2} took {amount} for goods that were never sent to {person}.",
        ],
        findings=[
            ("the account holder did not authorise the payment", "the account holder did authorise the payment"),
            ("the client gave the code to the caller", "the client refused the code to the caller"),
            ("the new bank details are forged", "the new bank details are genuine"),
            ("the signature is not the customer's own", "the signature is the customer's own"),
        ],
    ),
    "laundering": Matter(
        weight=0.13,
        forms={"alert": 3, "note": 4, "email": 1.5, "filing": 1.5},
        nouns=[
            "money laundering", "layering of funds", "hidden ownership", "cash structuring",
            "a mule account", "funds of unknown origin", "a shell company",
        ],
        accounts=[
            "{person} paid in cash of {amount} in {count} parts at four branches within a week.",
            "The account of {company} received {amount} from {country} and sent it on within the hour.",
            "{company} belongs to three holding companies in turn, and the person behind them is not named.",
            "A student account took in {amount} from {count} senders and was emptied in {city}.",
            "{person} bought a flat in {city} for {amount} with a loan from a company without staff.",
            "Invoices between {company} and {company2} show prices far from those of the market.",
            "A friend asked {person} to pass {amount} through the account for a share of it.",
            "{company} banks far more cash than its small kiosk in {city} could take.",
        ],
        findings=[
            ("the trade behind the payments does not exist", "the trade behind the payments exists"),
            ("the cash cannot be traced to a sale", "the cash can be traced to a sale"),
            ("the two senders are the same person", "the two senders are not the same person"),
            ("the owner behind the company is unknown", "the owner behind the company is known"),
        ],
    ),
    "sanctions": Matter(
        weight=0.12,
        forms={"alert": 4, "note": 3, "email": 1.5, "filing": 1.5},
        nouns=[
            "a sanctions match", "an embargo matter", "a blocked party", "a hit on the list",
            "trade with an embargoed region", "a sanctions question",
        ],
        accounts=[
            "The payee {company2} has a name close to an entry on the sanctions list.",
            "The cargo paid for with {amount} calls at a port in an embargoed region.",
            "A shareholder of {company} has the same name as a designated person.",
            "The vessel in the letter of credit for {amount} changed its flag twice this year.",
            "{company} sells machine parts to a buyer in {country} who may pass them on to an embargoed army.",
            "The screening tool stopped a transfer of {amount} to {person2} because of the name.",
            "The bank of {company2} in {country} was added to the asset freeze in {month}.",
        ],
        findings=[
            ("the payee is on the list", "the payee is not on the list"),
            ("the date of birth is that of the listed person", "the date of birth is not that of the listed person"),
            ("the goods fall under the embargo", "the goods do not fall under the embargo"),
            ("the licence for this trade has expired", "the licence for this trade is valid"),
        ],
    ),
    "complaint": Matter(
        weight=0.14,
        forms={"alert": 1, "note": 2.5, "email": 5, "filing": 1.5},
        nouns=[
            "a complaint", "a dispute about fees", "anger about bad advice", "a complaint about delay",
            "a demand for an apology", "a grievance about service",
        ],
        accounts=[
            "{person} is unhappy that a transfer of {amount} took {count} days.",
            "{person} objects to a fee of {amount} that nobody had mentioned.",
            "{person} is angry that the adviser praised a fund without a word about its risk.",
            "{company} wants an apology because its card was refused in {city}.",
            "{person} waited two hours at the branch in {city} and was then sent away.",
            "{person} finds that the closing of the account was announced too late.",
            "{company} is tired of calling the helpdesk {count} times about one statement.",
        ],
        findings=[
            ("the adviser concealed the risk", "the adviser explained the risk"),
            ("the bank answered after the deadline", "the bank answered before the deadline"),
            ("the promised refund was not paid", "the promised refund was paid"),
            ("the customer was charged twice", "the customer was charged once"),
        ],
    ),
    "credit": Matter(
        weight=0.12,
        forms={"alert": 2, "note": 4, "email": 2, "filing": 3},
        nouns=[
            "credit risk", "a loan in difficulty", "doubtful repayment", "weak solvency",
            "a broken covenant", "arrears", "a borrower short of cash",
        ],
        accounts=[
            "{company} paid the last {count} instalments of its loan of {amount} late.",
            "Sales of {company} fell by {percent} percent and the loan of {amount} is due in {month}.",
            "{person} lost a job and asks for lower instalments on a loan of {amount}.",
            "The value of the building behind the loan of {amount} was cut by {percent} percent.",
            "The debt of {company} stands at {count} times its yearly earnings.",
            "Another bank of {company} in {country} ended its line of {amount}.",
            "{person} has drawn every card to its limit and owes {amount} in all.",
        ],
        findings=[
            ("the borrower hid other debts", "the borrower declared other debts"),
            ("the figures given to the bank were altered", "the figures given to the bank were accurate"),
            ("the pledge was sold without consent", "the pledge was sold with consent"),
            ("the borrower does not meet the covenant", "the borrower does meet the covenant"),
        ],
    ),
    "disclosure": Matter(
        weight=0.11,
        forms={"alert": 1, "note": 2, "email": 2, "filing": 5},
        nouns=[
            "a duty to disclose", "investor news", "a market announcement", "a reporting duty",
            "a notice to shareholders", "a profit warning",
        ],
        accounts=[
            "{company} will restate its results because revenue of {amount} was booked too early.",
            "The finance director of {company} leaves the board on {date}.",
            "{company} expects profit to miss the forecast by {percent} percent and has to tell the market.",
            "{company} agreed to buy {company2} for {amount} if its shareholders approve.",
            "The auditor of {company} resigned on {date}, before the annual report was signed.",
            "{company} lost the customer that brought {percent} percent of revenue, and investors have to know.",
            "{company} plans to issue new shares worth {amount} in {month}.",
        ],
        findings=[
            ("the news went to some investors first", "the news went to all investors at once"),
            ("the announcement leaves out a known loss", "the announcement includes the known loss"),
            ("a director sold shares before the news", "a director sold shares after the news"),
            ("the deadline for the report was missed", "the deadline for the report was met"),
        ],
    ),
    "routine": Matter(
        weight=0.24,
        forms={"alert": 3, "note": 3, "email": 3, "filing": 2},
        nouns=[
            "ordinary business", "a normal renewal", "an everyday payment", "a standing order",
            "a change of address", "a yearly review", "a plain request for a form",
        ],
        accounts=[
            "{person} moved from {city} to {city2} and gives the new address.",
            "{company} pays salaries of {amount} on the same day every month.",
            "{person} renews a deposit of {amount} for another year.",
            "{company} orders a second card for its office in {city}.",
            "The yearly review of {company} brought no change.",
            "{person} ordered foreign notes worth {amount} for a holiday in {country}.",
            "{company} paid the rent of {amount} for its office in {city}.",
            "The annual meeting of {company} takes place in {city} on {date}, as in other years.",
        ],
        findings=[
            ("the identity papers have expired", "the identity papers are valid"),
            ("the address could not be confirmed", "the address could be confirmed"),
        ],
    ),
}

# Sentences that name people and a sum and leave the matter open.
BARE_ACCOUNTS = [
    "This concerns {person} and a sum of {amount}.",
    "The file of {company} was opened on {date} over a sum of {amount}.",
    "A matter between {person} and {company2} over {amount} is described here.",
    "{person} and {company} are both named in this file; the sum is {amount}.",
    "The entry of {date} is about {company} and {amount}.",
    "{company} in {city} is the party, and {amount} is the sum.",
]

# {true} is the matter the document is about; {other} is one that it is not.
CORRECTIONS = [
    "It was first taken for {other}; it is now handled as {true}.",
    "It is now handled as {true}; it was first taken for {other}.",
    "What looked like {other} turned out to be {true}.",
    "What turned out to be {true} had looked like {other}.",
    "The matter is {true}, not {other}.",
    "The matter is not {other} but {true}.",
    "Although {other} was suspected, the review found {true}.",
    "The review found {true}, although {other} was suspected.",
    "Of {other} and {true}, the first was ruled out.",
    "Of {true} and {other}, the second was ruled out.",
    "It was moved from {other} to {true}.",
    "It was moved to {true} from {other}.",
    "Those who called it {other} were wrong; those who called it {true} were right.",
    "Those who called it {true} were right; those who called it {other} were wrong.",
]

# A second matter that is named and dismissed beside a full account of the first.
DISMISSALS = [
    "This is not {other}.",
    "{other} was considered and ruled out.",
    "There is no sign of {other} here.",
    "A colleague spoke of {other}, but that was another file.",
    "It should not be confused with {other}.",
]

# {first} is the matter with the probability given; {second} has the rest.
OPEN_MATTERS = [
    (0.5, "It is still open whether this is {first} or {second}."),
    (0.5, "It could be {first} and it could be {second}; nobody has decided."),
    (0.5, "One colleague calls it {first}, another {second}."),
    (0.65, "It looks more like {first} than {second}, but nothing is settled."),
    (0.65, "It may well be {first}; {second} cannot be excluded."),
]
