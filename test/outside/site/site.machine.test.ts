import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { chromium } from 'playwright-core'
import { expect, onTestFinished, test } from 'vitest'
import { accessibilityFaults } from '../../helpers/accessibility.ts'
import { project } from '../../helpers/built.ts'
import { hasTool } from '../../helpers/tools.ts'

interface Page {
  readonly path: string
  readonly html: string
}

const { buildSite, deadLinks, render } = (await import(
  pathToFileURL(join(project, 'scripts/site/site.mjs')).href
)) as {
  buildSite: (directory: string) => Promise<string[]>
  deadLinks: (pages: readonly Page[], files?: readonly string[]) => string[]
  render: (source: string, text: string) => Page
}

test('a link to a page, a file or an anchor that is not there is dead', () => {
  const pages = [
    render('README.md', '# A\n\n[1](docs/b.md) [2](docs/b.md#the-end) [3](#a) [4](docs/c.yaml)'),
    render(
      'docs/b.md',
      '# B\n\n## The `end`?\n\n[5](../README.md#a) [6](c.md) [7](#b-1) [8](../x.png)',
    ),
  ]
  expect(deadLinks(pages, ['docs/c.yaml'])).toEqual([
    'docs/b.html: c.md',
    'docs/b.html: #b-1',
    'docs/b.html: ../x.png',
  ])
  expect(deadLinks(pages)).toContain('index.html: docs/c.yaml')
  expect(() => render('a.md', '<script>1</script>')).toThrow('a.md has HTML')
  expect(() => render('a.md', '![x](https://example.com/x.png)')).toThrow('a.md shows')
  expect(() => render('a.md', '[x](javascript:1)')).toThrow('a.md links to javascript:1')
  expect(render('a.md', '```\n<b>\n```\n\n`"<b>"`').html).not.toContain('<b>')
})

/** Finds the cells of tables whose sentences have only a few letters in each line. */
const narrowCells = `[...document.querySelectorAll('td')]
  .filter((cell) => cell.textContent.length > 40 && cell.getBoundingClientRect().width < 100)
  .map((cell) => Math.round(cell.getBoundingClientRect().width) + ' ' + cell.textContent.slice(0, 40))`

test('every page opens from a disk, asks for nothing, fits a phone, and is accessible', async ({
  skip,
}) => {
  skip(!(await hasTool('chromium')), 'needs chromium')
  const directory = mkdtempSync(join(tmpdir(), 'rootling-site-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const pages = await buildSite(directory)
  for (const each of ['index.html', 'docs/commands.html', 'docs/ci.html', 'docs/api/index.html'])
    expect(pages).toContain(each)
  for (const name of readdirSync(join(project, 'docs')).filter((file) => file.endsWith('.md')))
    expect(pages).toContain(`docs/${name.replace('.md', '.html')}`)
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox'],
  })
  onTestFinished(() => browser.close())
  const faults: string[] = []
  for (const [width, colorScheme] of [
    [360, 'dark'],
    [1280, 'light'],
  ] as const) {
    const page = await browser.newPage({ colorScheme, viewport: { width, height: 800 } })
    page.on('console', (message) => faults.push(message.text()))
    page.on('request', (request) => {
      if (!request.isNavigationRequest()) faults.push(`asks for ${request.url()}`)
    })
    for (const path of pages) {
      await page.goto(pathToFileURL(join(directory, path)).href)
      const wide = await page.evaluate('document.documentElement.scrollWidth')
      if (wide !== width) faults.push(`${path} is ${String(wide)} wide at ${width}`)
      const narrow = await page.evaluate(narrowCells)
      faults.push(...(narrow as string[]).map((cell) => `${path} at ${width}: ${cell}`))
      // Axe takes minutes for the long pages, which are made of the same parts.
      if (readFileSync(join(directory, path)).length > 16_000) continue
      faults.push(...(await accessibilityFaults(page)).map((fault) => `${path}: ${fault}`))
    }
    await page.close()
  }
  expect(faults).toEqual([])
})
