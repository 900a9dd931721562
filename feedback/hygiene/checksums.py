"""Checksums by which a number is known to be what it looks like."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address

IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24,
    "XK": 20,
}  # fmt: skip
"""Characters of an IBAN by country (ISO 13616)."""
ISSUERS: tuple[tuple[int, int, tuple[int, ...]], ...] = (
    (4, 4, (13, 16, 19)), (51, 55, (16,)), (2221, 2720, (16,)), (34, 34, (15,)), (37, 37, (15,)),
    (6011, 6011, (16, 19)), (644, 649, (16, 19)), (65, 65, (16, 19)), (3528, 3589, (16, 19)),
    (300, 305, (14, 16)), (36, 36, (14,)),
    (38, 39, (14,)), (62, 62, (16, 17, 18, 19)), (50, 50, (16, 19)), (56, 58, (16, 19)),
)  # fmt: skip
"""First digits of payment cards, from and to, and how many digits follow in all."""
LOCAL = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "0.0.0.0/8")))


def digits_of(text: str) -> str:
    return "".join(character for character in text if character.isascii() and character.isdigit())


def is_iban(text: str) -> bool:
    """ISO 7064 mod 97-10 over the rearranged characters, and the country's length."""
    joined = text.replace(" ", "").replace("-", "").upper()
    if not joined.isascii() or not joined.isalnum() or len(joined) != IBAN_LENGTHS.get(joined[:2]):
        return False
    number = "".join(str(int(character, 36)) for character in joined[4:] + joined[:4])
    return int(number) % 97 == 1


def is_luhn(digits: str) -> bool:
    total = sum(int(digit) for digit in digits[-1::-2])
    return (total + sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])) % 10 == 0


def is_card(text: str) -> bool:
    """A payment card: Luhn, and beginning and length of an issuer; not one digit over and over."""
    digits = digits_of(text)
    issued = any(
        len(digits) in lengths and low <= int(digits[: len(str(low))]) <= high for low, high, lengths in ISSUERS
    )
    return issued and len(set(digits)) > 1 and is_luhn(digits)


def is_ipv4(text: str) -> bool:
    """An address that may be somebody's: not a loopback, local, multicast or reserved one."""
    try:
        address = IPv4Address(text)
    except AddressValueError:
        return False
    if any(address in network for network in LOCAL):
        return False
    return not (address.is_loopback or address.is_multicast or address.is_reserved)


def is_ipv6(text: str) -> bool:
    try:
        address = IPv6Address(text)
    except AddressValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_multicast or address.is_link_local)


def is_us_social_security(text: str) -> bool:
    """Not all are given out: no area 000, 666 or 9xx, no group 00, no serial 0000, and none known from advertising."""
    digits = digits_of(text)
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    if digits in {"078051120", "219099999", "123456789"}:
        return False
    return area not in {"000", "666"} and area[0] != "9" and group != "00" and serial != "0000"


def is_uk_nhs(text: str) -> bool:
    """Mod 11 over ten digits."""
    digits = digits_of(text)
    check = 11 - sum(int(digit) * weight for digit, weight in zip(digits[:9], range(10, 1, -1), strict=True)) % 11
    return len(set(digits)) > 2 and check % 11 == int(digits[9]) and check != 10


def is_german_tax_id(text: str) -> bool:
    """ISO 7064 mod 11,10 over eleven digits, the first ten of which have one digit two or three times."""
    digits = digits_of(text)
    repeats = sorted(digits[:10].count(digit) for digit in set(digits[:10]))
    if len(digits) != 11 or digits[0] == "0" or repeats[-1] not in (2, 3) or repeats[-2:-1] not in ([1], []):
        return False
    product = 10
    for digit in digits[:10]:
        product = 2 * ((int(digit) + product) % 10 or 10) % 11
    return (11 - product) % 10 == int(digits[10])


def is_spanish_id(text: str) -> bool:
    """DNI and NIE: the letter is the number mod 23."""
    joined = text.upper().replace("-", "").replace(" ", "")
    number = joined[:-1].translate(str.maketrans("XYZ", "012"))
    return number.isdigit() and "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == joined[-1]


def is_italian_tax_code(text: str) -> bool:
    """Codice fiscale: the sixteenth letter is a sum over the others, odd places by their own table."""
    odd = {**dict(zip("0123456789", (1, 0, 5, 7, 9, 13, 15, 17, 19, 21), strict=True))}
    letters = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
    odd.update(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", letters, strict=True))
    joined = text.upper()
    total = sum(odd[character] for character in joined[0:15:2])
    total += sum(int(c) if c.isdigit() else ord(c) - ord("A") for c in joined[1:15:2])
    return chr(total % 26 + ord("A")) == joined[15]


def is_french_security(text: str) -> bool:
    """NIR: two digits that are 97 less the other thirteen mod 97; Corsica's 2A and 2B count as 19 and 18."""
    joined = text.upper().replace(" ", "").replace("2A", "19", 1).replace("2B", "18", 1)
    return len(joined) == 15 and joined.isdigit() and 97 - int(joined[:13]) % 97 == int(joined[13:])


def is_polish_pesel(text: str) -> bool:
    digits = digits_of(text)
    total = sum(int(d) * w for d, w in zip(digits[:10], (1, 3, 7, 9, 1, 3, 7, 9, 1, 3), strict=True))
    month, day = int(digits[2:4]) % 20, int(digits[4:6])
    return (10 - total % 10) % 10 == int(digits[10]) and 1 <= month <= 12 and 1 <= day <= 31


def is_brazilian_cpf(text: str) -> bool:
    digits = digits_of(text)
    if len(digits) != 11 or len(set(digits)) == 1:
        return False
    for length in (9, 10):
        total = sum(int(digit) * weight for digit, weight in zip(digits, range(length + 1, 1, -1), strict=False))
        if total * 10 % 11 % 10 != int(digits[length]):
            return False
    return True


def is_indian_aadhaar(text: str) -> bool:
    """Verhoeff's check, over the dihedral group of order ten."""
    digits = digits_of(text)
    if len(digits) != 12 or digits[0] in "01" or len(set(digits)) < 3:
        return False
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = VERHOEFF_PRODUCT[check][VERHOEFF_PERMUTATION[place % 8][int(digit)]]
    return check == 0


VERHOEFF_PRODUCT = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 4, 0, 6, 7, 8, 9, 5), (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7), (4, 0, 1, 2, 3, 9, 5, 6, 7, 8), (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2), (7, 6, 5, 9, 8, 2, 1, 0, 4, 3), (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)  # fmt: skip
VERHOEFF_PERMUTATION = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 5, 7, 6, 2, 8, 3, 0, 9, 4), (5, 8, 0, 3, 7, 9, 6, 1, 4, 2),
    (8, 9, 1, 6, 0, 4, 3, 5, 2, 7), (9, 4, 5, 3, 1, 2, 6, 8, 7, 0), (4, 2, 8, 6, 5, 7, 3, 9, 0, 1),
    (2, 7, 9, 3, 8, 0, 6, 4, 1, 5), (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)  # fmt: skip
