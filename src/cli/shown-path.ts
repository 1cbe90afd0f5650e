import { quotedPath } from '../shell-word.ts'

/** The directories by which paths are shown shorter. */
export interface Near {
  /** The person's home; absent: unknown. */
  readonly home: string | undefined
  /** The working directory; absent: it was deleted. */
  readonly cwd: string | undefined
}

/**
 * Returns an absolute path as people read it: relative where it is below the working directory, else
 * with `~` where it is below the home. A shell takes both. What needs quotes gets them, but not the
 * `~`, which means nothing in quotes. Windows' shells do not know `~`, so there the path stays whole.
 */
export function shownPath(path: string, { home, cwd }: Near, system = process.platform): string {
  if (system === 'win32') return quotedPath(path, system)
  const fromHome = below(path, home)
  const fromHere = below(path, cwd)
  // Where the home is below the working directory, or is it, `~` says more.
  if (fromHere !== null && (fromHome === null || (cwd ?? '').length > (home ?? '').length))
    return quotedPath(/^[-~]/.test(fromHere) ? `./${fromHere}` : fromHere, system)
  return fromHome === null ? quotedPath(path, system) : `~/${quotedPath(fromHome, system)}`
}

/** Returns a path without the directory that it is below; `null`: it is not. */
function below(path: string, directory = ''): string | null {
  const start = `${directory.replace(/\/+$/, '')}/`
  return start.length > 1 && path.startsWith(start) && path.length > start.length
    ? path.slice(start.length)
    : null
}

/**
 * Returns a sentence with the paths in it as `shownPath` returns them. Words in quotes stay as they
 * are, since a shell puts no home for a `~` there.
 */
export function withShownPaths(sentence: string, near: Near, system = process.platform): string {
  if (system === 'win32') return sentence
  return sentence.replace(
    /(?<![^\s=:(])(?:\$'(?:[^'\\]|\\.)*'|'(?:[^']|'\\'')*'|"[^"]*")|(?<![^\s(])\/[^\s,;:)”"']+/g,
    (found) => (found.startsWith('/') ? shownPath(found, near, system) : found),
  )
}
