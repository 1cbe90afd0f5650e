import { shellWord } from '../src/shell-word.ts'

/**
 * Returns a command as a person would type it into a shell. It is only shown, never run. `input` is
 * shown as `< file` when `knownFiles` names a file with these contents, else in full.
 */
export function displayCommand(
  command: readonly string[],
  input?: string | Uint8Array,
  knownFiles: ReadonlyMap<string, string> = new Map(),
): string {
  // A path with a drive letter is a Windows program, and Windows shells have other rules for
  // quoting.
  const isWindows = /^[A-Za-z]:\\/.test(command[0] ?? '')
  const line = command
    .map((word) => shellWord(word, isWindows ? 'win32' : process.platform))
    .join(' ')
  if (input === undefined) return line
  const text = typeof input === 'string' ? input : Buffer.from(input).toString()
  const file = knownFiles.get(text)
  if (file !== undefined) return `${line} < ${shellWord(file)}`
  return `${line} <<'EOF'\n${text.endsWith('\n') ? text : `${text}\n`}EOF`
}
