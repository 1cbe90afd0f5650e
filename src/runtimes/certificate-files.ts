import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { certificateBlocks } from '../x509/pem.ts'
import { textAt } from './text-at.ts'

/** Returns the certificates of a text, each once, and nothing else of the text. */
export const withoutDoubles = (text: string): string =>
  [
    ...new Map(
      certificateBlocks(text).map((block) => [block.der.toString('base64'), block.text]),
    ).values(),
  ].join('')

/**
 * Returns the certificates in a file, or in the files of a directory, as PEM; `null`: there is none
 * that can be read. Pipes and devices are not read.
 */
export function certificatesAt(path: string): string | null {
  const isDirectory = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
  const files = isDirectory ? readdirSync(path).map((name) => join(path, name)) : [path]
  const blocks = files.flatMap((file) => certificateBlocks(textAt(file)))
  return blocks.length === 0 ? null : blocks.map(({ text }) => text).join('')
}
