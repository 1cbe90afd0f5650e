import { join } from 'node:path'

const argv = process.argv.slice(2)
// Before anything is loaded: scripts ask for the version just to see whether we are there.
if (argv[0] === '--version' || argv[0] === '-V') process.stdout.write(`${VERSION}\n`)
else void start()

async function start(): Promise<void> {
  const { keepCompiledCode } = await import('./code-cache.ts')
  keepCompiledCode(join(import.meta.dirname, 'chunks'))
  const { main } = await import('./main.ts')
  await main(argv)
}
