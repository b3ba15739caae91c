"""Names, sums, dates and references that fill the slots of a template.

Every draw goes through `Draw`, which uses nothing but `random.Random.random()`: the one
method whose sequence Python promises to keep, so that a seed gives the same documents in
every later version.
"""

import random

FIRST = """Ada Alice Amir Ana Anders Anouk Arjun Astrid Beatriz Ben Birgit Carla Carlos Chen Chloe Clara
Dario Daniel Delia Diego Dora Edith Elena Elias Emil Emma Erik Esther Eva Farid Fatima Felix Fiona Frank
Freya George Greta Hana Hannah Henry Ida Ines Ingrid Irene Ivan Jack Jana Jonas Julia Kamal Karin Karl
Katya Kenji Lara Laura Lea Leo Lena Lin Liam Lucia Luis Mara Marco Maria Marta Max Maya Mehmet Mia Miguel
Mina Nadia Nina Noah Nora Olga Olivia Omar Oscar Paul Pavel Petra Pia Priya Rafael Rania Rita Robert Rosa
Samir Sara Sofia Stefan Sven Tariq Thea Theo Thomas Tomas Uma Vera Victor Wanda Yara Yusuf Zoe""".split()

LAST = """Abbott Adler Ahmed Almeida Andersen Baker Bauer Becker Bello Berger Blanc Brandt Brown Byrne Campos
Carter Castro Chopra Clarke Cohen Conti Costa Cruz Dahl Diaz Dietrich Doyle Dubois Duran Eriksen Evans Farkas
Ferrari Fischer Foster Franco Fuchs Garcia Gupta Haas Hall Hansen Hoffman Horvat Hughes Ibrahim Ivanov Jansen
Jensen Johnson Kaya Keller Khan Klein Kovacs Kumar Larsen Lehmann Lewis Lopez Maier Mancini Marin Martin
Meyer Miller Moreau Moreno Murphy Nagy Nakamura Nielsen Novak Okafor Olsen Ortiz Park Patel Peters Petrov
Popescu Quinn Ramos Reed Ricci Romero Rossi Roth Sato Schmidt Silva Singh Smith Stein Suzuki Taylor Torres
Turner Vogel Wagner Walker Weber Winter Wolf Wright Yilmaz Young Zhang Ziegler""".split()

COMPANY_START = """Alder Amber Apex Arbor Atlas Aurora Baltic Beacon Birch Blue Boreal Bridge Cedar Cobalt
Copper Coral Crescent Delta Eastern Elm Falcon Garnet Glacier Granite Harbour Hazel Helios Iron Juniper
Lagoon Larch Linden Lotus Maple Meridian Mistral Nordic North Oak Onyx Opal Orion Pacific Pine Polar Quartz
River Rowan Ruby Sable Silver Solar Southern Spruce Sterling Summit Terra Topaz Union Vega Vista Western
Willow Zenith""".split()

COMPANY_TRADE = """Foods Freight Glass Grain Holding Instruments Leather Lighting Logistics Marine Materials
Media Metals Mills Motors Optics Packaging Paper Partners Pharma Plastics Ports Power Property Retail Shipping
Software Steel Stone Systems Textiles Timber Tools Toys Trading Travel Ventures Water""".split()

COMPANY_KIND = ["AG", "BV", "GmbH", "Inc", "Ltd", "LLC", "PLC", "SA", "SpA", "AB"]

COUNTRIES = """Austria Belgium Brazil Bulgaria Canada Chile China Croatia Cyprus Denmark Egypt Estonia Finland
France Georgia Germany Ghana Greece Hungary India Indonesia Ireland Italy Japan Jordan Kenya Latvia Lebanon
Malta Mexico Morocco Nigeria Norway Panama Peru Poland Portugal Romania Serbia Singapore Spain Sweden
Switzerland Thailand Turkey Uruguay Vietnam""".split()

CITIES = """Antwerp Athens Basel Berlin Bilbao Bologna Bristol Cologne Dublin Geneva Genoa Graz Hamburg Helsinki
Krakow Leeds Lille Lisbon London Lyon Madrid Malmo Milan Munich Naples Oslo Paris Porto Prague Riga Rome
Rotterdam Seville Sofia Tallinn Turin Valencia Vienna Warsaw Zagreb Zurich""".split()

MONTHS = """January February March April May June July August September October November December""".split()

CURRENCIES = ["EUR", "USD", "GBP", "CHF", "SEK", "PLN"]


class Draw:
    """A seeded source of choices."""

    def __init__(self, seed: str):
        self._random = random.Random(seed).random

    def chance(self, probability: float) -> bool:
        """True with the probability given (0..1)."""
        return self._random() < probability

    def below(self, count: int) -> int:
        """A whole number in 0..count, the end left out."""
        return int(self._random() * count)

    def between(self, low: int, high: int) -> int:
        """A whole number in low..=high."""
        return low + self.below(high - low + 1)

    def pick(self, options):
        """One of a sequence, each equally likely."""
        return options[self.below(len(options))]

    def weighted(self, weights: dict):
        """One key of `weights`, as likely as its weight says."""
        rest = self._random() * sum(weights.values())
        for key, weight in weights.items():
            rest -= weight
            if rest < 0:
                return key
        return key


def grouped(number: int) -> str:
    """12400 as 12,400."""
    return f"{number:,}"


def amount(draw: Draw) -> str:
    """A sum of money with its currency, from hundreds to a few hundred thousand."""
    thousands = draw.weighted({0: 3, 1: 5, 2: 2})
    size = [draw.between(2, 99) * 10, draw.between(10, 990) * 100, draw.between(100, 480) * 1000][thousands]
    return f"{draw.pick(CURRENCIES)} {grouped(size)}"


def person(draw: Draw) -> str:
    """A first and a last name."""
    return f"{draw.pick(FIRST)} {draw.pick(LAST)}"


def company(draw: Draw) -> str:
    """A company's name with its legal form."""
    return f"{draw.pick(COMPANY_START)} {draw.pick(COMPANY_TRADE)} {draw.pick(COMPANY_KIND)}"


def date(draw: Draw) -> str:
    """A day of the last years, in one of three spellings."""
    day, month, year = draw.between(1, 28), draw.below(12), draw.between(2021, 2025)
    spelling = draw.below(3)
    if spelling == 0:
        return f"{day} {MONTHS[month]} {year}"
    if spelling == 1:
        return f"{year}-{month + 1:02d}-{day:02d}"
    return f"{day} {MONTHS[month]}"


def reference(draw: Draw) -> str:
    """A file reference such as KX-4821."""
    letters = "ABCDEFGHKLMNPRSTVWX"
    return f"{draw.pick(letters)}{draw.pick(letters)}-{draw.between(1000, 9999)}"


def account(draw: Draw) -> str:
    """A shortened account number in the style of an IBAN; it is no valid IBAN."""
    country = draw.pick(["DE", "FR", "IT", "ES", "NL", "AT", "PL", "SE"])
    return f"{country}00 {draw.between(100, 999)}x {draw.between(100, 999)}"


SLOTS = {
    "person": person,
    "company": company,
    "amount": amount,
    "country": lambda draw: draw.pick(COUNTRIES),
    "city": lambda draw: draw.pick(CITIES),
    "date": date,
    "month": lambda draw: draw.pick(MONTHS),
    "reference": reference,
    "account": account,
    "count": lambda draw: str(draw.between(3, 12)),
    "percent": lambda draw: str(draw.between(8, 60)),
    "rule": lambda draw: str(draw.between(11, 99)),
}


class Facts(dict):
    """The names and sums of one document: a slot keeps the value it was first given.

    A digit at the end of a slot's name asks for a second value of the same sort:
    `{person}` and `{person2}` are two people.
    """

    def __init__(self, draw: Draw):
        super().__init__()
        self._draw = draw

    def __missing__(self, slot: str) -> str:
        value = SLOTS[slot.rstrip("0123456789")](self._draw)
        self[slot] = value
        return value

    def fill(self, template: str) -> str:
        """The template with every slot filled, its first letter a capital."""
        text = template.format_map(self)
        return text[0].upper() + text[1:]
