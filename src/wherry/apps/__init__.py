"""What an app on Wherry stands on; `import wherry` has all of it.

app.py       one app: its name, its commands, its endpoints, what they share
installed.py the apps that packages bring (entry points `wherry.apps`)
opened.py    what the endpoints of an app share, made once per process
database.py  tables of an app in PostgreSQL: sessions, migrations, addresses for search and sync
pool.py      how many connections, from the environment
failures.py  what SQLAlchemy and the driver raise, in Wherry's errors
events.py    answers that arrive in pieces
printing.py  results of commands, for people and scripts
migrations/  how Alembic reaches an app's database
"""
