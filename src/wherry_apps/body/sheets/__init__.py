"""InBody sheets in all their shapes become one: the keys of the flat Korean sheet.

sheet = read_sheet(json_object)
sheet.measurements["골격근량"], sheet.nulls, sheet.warnings
"""

from wherry_apps.body.sheets.checks import checks, fat_free_mass
from wherry_apps.body.sheets.fields import FIELDS, OPTIONAL, RAW, REQUIRED
from wherry_apps.body.sheets.reading import Sheet, corrected, read_sheet

__all__ = [
    "FIELDS", "OPTIONAL", "RAW", "REQUIRED", "Sheet", "checks", "corrected", "fat_free_mass", "read_sheet",
]  # fmt: skip
