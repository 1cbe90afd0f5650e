import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  addEntries,
  foreignLines,
  ownLines,
  parseHosts,
  removeEntries,
  renderHosts,
  type HostsEntry,
  type Owner,
} from '../../src/hosts/block.ts'

const ada: Owner = { user: 'ada', project: null }
const shop: Owner = { user: 'ada', project: '/home/ada/my shop #1%' }
const bob: Owner = { user: 'Bob B.', project: null }
const entry: HostsEntry = { name: 'shop.test', address: '127.0.0.1' }
const other: HostsEntry = { name: 'api.test', address: '::1' }

const add = (text: string, entries: readonly HostsEntry[], owner = ada): string =>
  renderHosts(addEntries(parseHosts(text), entries, owner))
const remove = (text: string, entries: readonly HostsEntry[], owner = ada): string =>
  renderHosts(
    removeEntries(
      parseHosts(text),
      entries,
      ({ user, project }) => user === owner.user && project === owner.project,
    ),
  )

/** Text of a hosts file in which every octet may stand, also a lone carriage return. */
const piece = fc.constantFrom(
  '127.0.0.1\tlocalhost',
  '#',
  '# a comment',
  '\n',
  '\r\n',
  '\r',
  ' ',
  '\u00EF\u00BB\u00BF',
  '\u00FC',
  '# Added by Docker Desktop\n10.0.0.1 host.docker.internal\n# End of section\n',
)
const anyText = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''))

describe('the block', () => {
  test('comes and goes, and the rest of the file stays octet for octet', () => {
    fc.assert(
      fc.property(anyText, anyText, (text, after) => {
        const added = add(text, [entry, other])
        expect(ownLines(parseHosts(added)).map(({ name }) => name)).toEqual([
          'shop.test',
          'api.test',
        ])
        expect(added.startsWith(text)).toBe(true)
        expect(remove(added, [entry, other])).toBe(text)
        expect(remove(remove(added, [other]), [entry])).toBe(text)
        // What another tool appends meanwhile stays a line of its own.
        const kept = remove(added + after, [entry, other])
        const unended = text !== '' && !text.endsWith('\n')
        const lineEnd = parseHosts(added).lineEnd
        expect(kept).toBe(after !== '' && unended ? text + lineEnd + after : text + after)
      }),
    )
  })

  test('has the line ends of the file, and says what it is', () => {
    const text = '127.0.0.1 localhost\r\n'
    expect(add(text, [entry]).slice(text.length)).toMatch(
      /^# rootling begin: see rootling hosts list; a line that you change becomes yours\r\n127\.0\.0\.1 shop\.test # ada [0-9a-f]{8}\r\n# rootling end\r\n$/,
    )
  })

  test('has one line for all owners of a name, and each takes back its own', () => {
    const text = '127.0.0.1 localhost\n'
    const all = add(add(add(text, [entry], ada), [entry], shop), [entry], bob)
    expect(ownLines(parseHosts(all))).toEqual([{ ...entry, owners: [ada, shop, bob] }])
    expect(add(all, [entry], shop)).toBe(all)
    const without = remove(all, [entry], shop)
    expect(ownLines(parseHosts(without))[0]?.owners).toEqual([ada, bob])
    expect(remove(remove(without, [entry], bob), [entry], ada)).toBe(text)
  })

  test('keeps a line that somebody changed or wrote into it, as theirs', () => {
    const text = '127.0.0.1 localhost\n'
    const added = add(text, [entry, other]).replace('127.0.0.1 shop.test', '10.0.0.9 shop.test')
    const edited = added.replace('# rootling end', '10.0.0.3 mine\n# rootling end')
    expect(foreignLines(parseHosts(edited))).toEqual([
      expect.stringMatching(/^10\.0\.0\.9 shop\.test # ada [0-9a-f]{8}$/),
      '10.0.0.3 mine',
    ])
    expect(ownLines(parseHosts(edited)).map(({ name }) => name)).toEqual(['api.test'])
    expect(remove(edited, [entry, other])).toMatch(
      /^127\.0\.0\.1 localhost\n10\.0\.0\.9 shop\.test # ada [0-9a-f]{8}\n10\.0\.0\.3 mine\n$/,
    )
  })

  test('with damaged marks is left alone, and the error names the lines', () => {
    const text = add('', [entry])
    for (const [damaged, lines] of [
      [text.replace('# rootling end\n', ''), '1'],
      [text + text, '1, 3, 4, 6'],
      [`# rootling end\n${text}`, '1, 2, 4'],
      [`# rootling end\n# rootling begin\n`, '1, 2'],
    ] as const)
      expect(() => parseHosts(damaged)).toThrow(
        `The hosts file has the marks of Rootling’s lines in the wrong places (line ${lines}).`,
      )
  })
})
