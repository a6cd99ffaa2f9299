/** What the demonstration's agent says in its log when it has come so far. */
export const COMMITTED = /^committed$/m
export const FINISHED = /^(generation \d+, resumed from .*)\nfinished$/m

const script = (...lines: readonly string[]): readonly string[] => ['sh', '-ec', lines.join('\n')]

/** Commits, leaves work that no commit holds and a session in its home, and goes on thinking. */
export const COMMAND = script(
  'printf "An agent worked here, at %s.\\n" "$LAZARUS_LEVEL" > LAZARUS.md',
  'git add LAZARUS.md',
  'git commit -q -m "Work at $LAZARUS_LEVEL"',
  'echo "half a thought" > DRAFT.md',
  'echo "session 42" > "$HOME/session"',
  'echo committed',
  'exec sleep infinity',
)

/** After a revival: tells what it found, and commits what it had begun. */
export const RESUME_COMMAND = script(
  'draft=$(cat DRAFT.md)',
  'echo "generation $LAZARUS_GENERATION, resumed from $LAZARUS_RESUMED_FROM: I have my draft ($draft) and my home ($(cat "$HOME/session"))"',
  'git add DRAFT.md',
  'git commit -q -m "Finish the draft, as generation $LAZARUS_GENERATION"',
  'echo finished',
  'exec sleep infinity',
)
