import { shellWord } from './shell-word.ts'

/*
 * Commands for hints that people paste. Those for Windows are understood by cmd and by PowerShell.
 */

const isWindows = (): boolean => process.platform === 'win32'

/** Shows what is at a path; `options` are those of ls. */
export const toList = (path: string, options = '-ld'): string =>
  `${isWindows() ? 'dir' : `ls ${options}`} ${shellWord(path)}`

/** Opens a text file where the `unix` command, without the path, would show or change a part of it. */
export const toEdit = (path: string, unix: string): string =>
  `${isWindows() ? 'notepad' : unix} ${shellWord(path)}`

/**
 * Deletes lines of a text file; `script` is that of sed, such as `3d`. On macOS and BSD a word after
 * `-i` ends the name of a copy.
 */
export const toDeleteLines = (
  path: string,
  script: string,
  system: NodeJS.Platform = process.platform,
): string => {
  if (system === 'win32') return `notepad ${shellWord(path)}`
  return `sed -i ${system === 'linux' ? '' : "'' "}${shellWord(script)} ${shellWord(path)}`
}

export const toMakeDirectory = (path: string): string =>
  `${isWindows() ? 'mkdir' : 'mkdir -p'} ${shellWord(path)}`

export const toMove = (from: string, to: string): string =>
  `${isWindows() ? 'move' : 'mv'} ${shellWord(from)} ${shellWord(to)}`

export const toDelete = (path: string): string => `${isWindows() ? 'del' : 'rm'} ${shellWord(path)}`
