import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { keepCompiledCode } from './code-cache.ts'

const argv = process.argv.slice(2)
// Before anything is loaded: scripts ask for the version to see whether rootling is installed.
if (argv[0] === '--version' || argv[0] === '-V') printVersion()
else void start()

function printVersion(): void {
  try {
    // Opening a terminal or a pipe as a stream takes Node four milliseconds.
    writeSync(1, `${VERSION}\n`)
  } catch {
    // The full program says what is wrong with standard output.
    void start()
  }
}

async function start(): Promise<void> {
  keepCompiledCode(join(import.meta.dirname, 'chunks'))
  const { main } = await import('./main.ts')
  await main(argv)
}
