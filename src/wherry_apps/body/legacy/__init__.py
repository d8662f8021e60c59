"""Databases of earlier programs, brought to version 1 in place.

Known are: tables written by plain psycopg2 (`measured_at`, `generated_at`, no vectors), one `embedding` column of
vectors or of text, `embedding_1536` as text, types in columns of their own, plans as a text column, and tables called
`inbody_analysis_reports` and `user_details`. Everything happens in one transaction; a second run changes nothing.
"""

from wherry_apps.body.legacy.bringing import Upgrade, bring_up

__all__ = ["Upgrade", "bring_up"]
