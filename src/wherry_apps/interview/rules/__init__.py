"""What Interview decides by rule, without a database or a model.

text.py        cleaning, and cutting a text into chunks
weights.py     competency weights, criteria, lists of skills
posts.py       a job post, analysed by rule
keywords.py    whether somebody said a word, Korean endings allowed
evidence.py    words an applicant really said: quotes, checked and placed
speech.py      what a spoken answer holds: situation, action, number, result; fillers, evasions
answers.py     an answer, scored by rule
scores.py      means, bands, strengths and weaknesses of scores
statuses.py    the way of a session, and when a question wants a follow-up
"""
