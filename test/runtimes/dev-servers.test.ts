import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { portArguments } from '../../src/runtimes/dev-servers.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

/** What is added to a line for the port 4321, in a directory with these scripts. */
async function added(line: string, scripts: Record<string, unknown> = {}) {
  const directory = await temporaryDirectory()
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ scripts }))
  const { added: words, given } = await portArguments(line.split(' '), directory, 4321)
  return given === null ? words.join(' ') : `given ${given}`
}

const vite = '--port 4321 --strictPort'

test('a dev server that is known gets its option for the port', async () => {
  for (const [line, words] of [
    ['vite', vite],
    ['vite .', vite],
    ['vite ./apps/web --host', vite],
    ['webpack serve', '--port 4321 --client-web-socket-url auto://0.0.0.0:0/ws'],
    ['vite --host', vite],
    ['vite dev', vite],
    ['node_modules/.bin/vite', vite],
    ['vite.cmd', vite],
    ['next dev --turbo', '-p 4321'],
    ['nuxi dev', '--port 4321'],
    ['astro dev', '--port 4321'],
    ['ng serve', '--port 4321'],
    ['npx vite', vite],
    ['npx --yes next dev', '-p 4321'],
    ['pnpm exec astro dev', '--port 4321'],
    ['yarn vite', vite],
    ['env NODE_ENV=development vite', vite],
    ['php artisan serve', '--port 4321'],
  ])
    expect([line, await added(line ?? '')]).toEqual([line, words])
})

test('what does not serve, or is not known, gets PORT alone', async () => {
  for (const line of [
    'vite build',
    'next build',
    'node server.js',
    'ng',
    'php index.php',
    'npm run dev',
    'npm',
    '',
  ])
    expect([line, await added(line)]).toEqual([line, ''])
})

test('a script is read for the program that it runs, whose words follow --', async () => {
  const scripts = {
    dev: 'vite',
    checked: 'tsc --noEmit && NODE_ENV=x cross-env A=b vite --host',
    next: "next 'dev'",
    nested: 'npm run dev -- --host',
    outer: 'pnpm run dev',
    start: 'astro dev',
    fixed: 'vite --port 5000',
    piped: 'vite | tee log',
    both: 'vite & node api.js',
    many: 'concurrently "vite" "node api.js"',
    own: 'npm run own',
    number: 3,
    shell: 'vite --port $PORT',
  }
  for (const [line, words] of [
    ['npm run dev', `-- ${vite}`],
    ['npm run dev -- --host', vite],
    ['npm start', '-- --port 4321'],
    ['pnpm run dev', vite],
    ['pnpm dev', vite],
    ['yarn next', '-p 4321'],
    ['bun run dev', vite],
    ['npm run checked', `-- ${vite}`],
    ['npm run nested', `-- ${vite}`],
    ['npm run outer', `-- ${vite}`],
    ['pnpm outer', vite],
    ['npm run fixed', 'given 5000'],
    ['npm run dev -- --port=5001', 'given 5001'],
    ['npm run piped', ''],
    ['npm run both', ''],
    ['npm run many', ''],
    ['npm run own', ''],
    ['npm run number', ''],
    ['npm run shell', ''],
    ['npm run absent', ''],
  ])
    expect([line, await added(line ?? '', scripts)]).toEqual([line, words])
})

test('a script that npm runs by npm again needs -- once for each', async () => {
  const scripts = { dev: 'npm run vite', vite: 'vite' }
  expect(await added('npm run dev', scripts)).toBe(`-- -- ${vite}`)
})

test('a port that the line has already is taken as it is', async () => {
  expect(await added('vite --port 5173')).toBe('given 5173')
  expect(await added('next dev -p=3001')).toBe('given 3001')
  expect(await added('vite --port 99999')).toBe(vite)
})

test('a package.json that is damaged or huge is not read', async () => {
  const directory = await temporaryDirectory()
  for (const text of ['', '{', '[]', '{"scripts":[]}', '{"scripts":"vite"}', '['.repeat(100_000)]) {
    writeFileSync(join(directory, 'package.json'), text)
    expect(await portArguments(['npm', 'run', 'dev'], directory, 1)).toEqual({
      added: [],
      given: null,
    })
  }
  const huge = { scripts: { dev: 'vite', more: 'x'.repeat(2 * 1024 * 1024) } }
  writeFileSync(join(directory, 'package.json'), JSON.stringify(huge))
  expect(await portArguments(['npm', 'run', 'dev'], directory, 1)).toEqual({
    added: [],
    given: null,
  })
})
