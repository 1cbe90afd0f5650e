import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CertificateFault } from '../../src/ephemeral/index.ts'

// What docs/testing.md says.

const root = join(import.meta.dirname, '../..')
const text = readFileSync(join(root, 'docs/testing.md'), 'utf8')

/** The directory of the examples. */
export const examples = join(root, 'examples/testing')

/** What each program says of a fault. */
export interface Refusal {
  readonly node: string
  readonly openssl: string
  readonly curl: string
}

/** Returns the refusals in the table of the document. */
export function documentedRefusals(): Readonly<Record<CertificateFault, Refusal>> {
  const rows = text.matchAll(/^\| `([\w-]+)` \| [^|]+ \| `([^`]+)` \| `([^`]+)` \| `([^`]+)` \|$/gm)
  const entries = [...rows].map(([, fault = '', node = '', openssl = '', curl = '']) => [
    fault,
    { node, openssl, curl },
  ])
  return Object.fromEntries(entries)
}

/** Returns the blocks of JavaScript that are in no example, but for how far they are indented. */
export function blocksWithoutExample(): string[] {
  const plain = (code: string): string => code.replace(/^ +| +$/gm, '').trim()
  const sources = readdirSync(examples).map((file) =>
    plain(readFileSync(join(examples, file), 'utf8')),
  )
  const blocks = [...text.matchAll(/^```js\n([^]*?)^```$/gm)].map(([, code = '']) => code)
  if (blocks.length === 0) throw new Error('docs/testing.md has no JavaScript')
  return blocks.filter((code) => !sources.some((source) => source.includes(plain(code))))
}
