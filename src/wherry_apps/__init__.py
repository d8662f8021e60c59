"""Five systems on top of Wherry: body, interview, checkup, tutor, evals. Each imports only what `wherry` exports."""
