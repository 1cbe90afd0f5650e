import { shellWord } from '../src/shell-word.ts'

/**
 * A command as a person would type it into a shell. It is only shown, never run through a shell.
 * Input is shown as `< file` where a file with these contents is known, else in full.
 */
export function displayCommand(
  command: readonly string[],
  input?: string,
  knownFiles: ReadonlyMap<string, string> = new Map(),
): string {
  // A path with a drive is a program of Windows, whose shells have other rules for quoting.
  const isWindows = /^[A-Za-z]:\\/.test(command[0] ?? '')
  const line = command.map(isWindows ? quoteForWindows : shellWord).join(' ')
  if (input === undefined) return line
  const file = knownFiles.get(input)
  if (file !== undefined) return `${line} < ${shellWord(file)}`
  return `${line} <<'EOF'\n${input.endsWith('\n') ? input : `${input}\n`}EOF`
}

function quoteForWindows(word: string): string {
  return /^[^\s"&|<>^%]+$/.test(word) ? word : `"${word}"`
}
