"""Persons: made, listed, deleted with all that is theirs."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import select, update

import wherry
from wherry_apps.body.service.context import Context, Owner, iso, person, require_text
from wherry_apps.body.tables import User

_MAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")
LOCAL = "local"


class People:
    """The persons of a database."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def add(self, owner: str, username: str, email: str) -> dict[str, Any]:
        """Make a person. Raises BadRecord for a name or address that is none, Conflict for one that is taken."""
        name, mail = require_text(username, "username", 100), require_text(email, "email", 255)
        if not _MAIL.fullmatch(mail):
            raise wherry.BadRecord("email is no mail address", fields=["email"], left="nothing")
        with self._context.db.session() as session:
            user = User(owner=owner, username=name, email=mail)
            session.add(user)
            session.flush()
            session.refresh(user)
            return shown(user)

    def first(self) -> dict[str, Any] | None:
        """Make the person of a new database, who has the number 1; None where there are persons already."""
        with self._context.db.session() as session:
            if session.scalar(select(User.id).limit(1)) is not None:
                return None
            user = User(owner=LOCAL, username="me", email="me@localhost")
            session.add(user)
            session.flush()
            session.refresh(user)
            return shown(user)

    def get(self, owner: Owner, user_id: int) -> dict[str, Any]:
        """Return a person. Raises NotFound."""
        with self._context.db.session() as session:
            return shown(person(session, owner, user_id))

    def all(self, owner: Owner, limit: int = 100, after: int = 0) -> list[dict[str, Any]]:
        """Return the persons of an owner by id, those after one."""
        asked = select(User).where(User.id > after).order_by(User.id).limit(limit)
        with self._context.db.session() as session:
            return [
                shown(user) for user in session.scalars(asked if owner is None else asked.where(User.owner == owner))
            ]

    def delete(self, owner: Owner, user_id: int) -> None:
        """Delete a person; the database deletes the rest with it. Raises NotFound."""
        with self._context.db.session() as session:
            session.delete(person(session, owner, user_id))

    def give(self, user_id: int, owner: str) -> dict[str, Any]:
        """Make a person the tenant's of a key; for operators. Raises NotFound, Conflict."""
        with self._context.db.session() as session:
            user = person(session, None, user_id)
            session.execute(update(User).where(User.id == user_id).values(owner=require_text(owner, "owner", 100)))
            session.refresh(user)
            return shown(user)


def shown(user: User) -> dict[str, Any]:
    """Return a person as a JSON object."""
    return {"id": user.id, "username": user.username, "email": user.email, "created_at": iso(user.created_at)}
