import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'

const read = (file: string) => readFile(`${import.meta.dirname}/../../../${file}`, 'utf8')

/** Rows of the threat model: four cells, the last of which cites tests. */
async function rows(): Promise<string[][]> {
  const [, table = ''] = (await read('SECURITY.md')).split('|---|---|---|---|\n')
  const lines = table.split('\n\n')[0]?.split('\n') ?? []
  return lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

test('every row of the threat model cites a test that is there under that title', async () => {
  const model = await rows()
  expect(model.length).toBeGreaterThan(15)
  for (const [, can = '', stops = '', held = ''] of model) {
    expect([can, stops, held].filter((cell) => cell === '')).toEqual([])
    const cited = [...held.matchAll(/`(test\/\S+\.test\.ts)` “([^”]+)”/g)]
    expect([held, cited.length]).not.toEqual([held, 0])
    for (const [, shown = '', title = ''] of cited) {
      // A title may be cut where a number or a name is put into it.
      const titles = (await read(shown)).match(
        /(?:test|it)\b[^'`]*['`][^'`]*['`]|['`][^'`\n]{15,}['`]/g,
      )
      expect([title, titles?.some((text) => text.includes(title))]).toEqual([title, true])
    }
  }
})

test('the README leads to it', async () => {
  expect(await read('README.md')).toContain('[SECURITY.md](SECURITY.md)')
})
