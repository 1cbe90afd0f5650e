import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { keepCompiledCode } from './code-cache.ts'

const argv = process.argv.slice(2)
// The version is printed before anything else is loaded, because scripts ask for it to see whether
// rootling is installed.
if (argv[0] === '--version' || argv[0] === '-V' || argv[0] === 'version') printVersion()
else if (argv[0] === '__complete') void complete()
else void start()

function printVersion(): void {
  try {
    // writeSync needs no stream: Node takes four milliseconds to open a terminal or a pipe as one.
    writeSync(1, `${VERSION}\n`)
  } catch {
    // The full program reports what is wrong with standard output.
    void start()
  }
}

/** What a completion script asks for, while a person waits for the next letter. */
async function complete(): Promise<void> {
  keepCompiledCode(join(import.meta.dirname, 'chunks'))
  const { printCandidates } = await import('./completion/candidates.ts')
  await printCandidates(argv.slice(1))
  process.exit(0)
}

async function start(): Promise<void> {
  keepCompiledCode(join(import.meta.dirname, 'chunks'))
  const { main } = await import('./main.ts')
  await main(argv)
}
