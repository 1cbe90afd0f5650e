import * as fc from 'fast-check'
import { Worker } from 'node:worker_threads'
import { AcmeProblem } from '../../../src/acme/problems.ts'
import { RootlingError } from '../../../src/errors.ts'
import { inputsOf, longInputs } from './inputs.ts'
import { foreignParsers, temporaryFiles, type ForeignParser } from './parsers.ts'
import { makeSamples } from './samples.ts'

/*
 * Gives every parser its inputs, in a process with little memory that is ended when one input takes
 * too long. Prints a line of JSON for each parser.
 */

const [runs = 1000, seed = 1, stride = 1, offset = 0] = process.argv.slice(2).map(Number)
const only = process.argv[6]
const longest = 20_000
const isLong = runs >= 100_000

// Thousands of errors a second: where they come from is most of their price.
Error.stackTraceLimit = 2

/** How many inputs have been begun, and the last one, for the thread that watches. */
const beats = new Int32Array(new SharedArrayBuffer(8))
const current = new Uint8Array(new SharedArrayBuffer(65_536))
const watch = `
  const { workerData: { beats, current, longest } } = require('node:worker_threads')
  // By the time of the processor, which a busy machine does not change; or long after it is idle.
  const spent = () => process.cpuUsage().user / 1000
  let [last, since, at] = [-1, 0, 0]
  setInterval(() => {
    if (beats[0] !== last || beats[1] < 0)
      return void ([last, since, at] = [beats[0], spent(), performance.now()])
    if (spent() - since < longest && performance.now() - at < 30 * longest) return
    const input = Buffer.from(current.subarray(0, beats[1])).toString('base64')
    require('node:fs').writeSync(2, 'No end in ' + longest + ' ms: ' + input.slice(0, 4000) + '\\n')
    process.kill(process.pid, 'SIGKILL')
  }, 1000)`
const watcher = new Worker(watch, { eval: true, workerData: { beats, current, longest } })
watcher.unref()

/** Whether it was read; throws for an error that is none of the parser's. */
async function accepts(parser: ForeignParser, input: Buffer): Promise<boolean> {
  Atomics.add(beats, 0, 1)
  beats[1] = input.copy(current)
  try {
    await parser.read(input)
    return true
  } catch (error) {
    if (isExpected(error, parser)) return false
    throw error
  } finally {
    beats[1] = -1
  }
}

function isExpected(error: unknown, { codes }: ForeignParser): boolean {
  if (error instanceof AcmeProblem) return codes.includes('problem') && error.document.status < 500
  return (
    error instanceof RootlingError &&
    codes.includes(error.code) &&
    /^\P{Cc}{5,2000}$/u.test(error.message)
  )
}

async function fuzz(parser: ForeignParser): Promise<void> {
  const started = performance.now()
  let [inputs, read] = [0, 0]
  for (const sample of parser.samples)
    if (!(await accepts({ ...parser, codes: [] }, sample))) throw new Error('a sample was refused')
  if (isLong) for (const input of longInputs()) await accepts(parser, input)
  const property = fc.asyncProperty(inputsOf(parser.samples, parser.shape), async (input) => {
    inputs++
    // What OpenSSL holds is not seen by V8, which then cleans up late; what is left after this, grows.
    if (inputs % 1000 === 0) globalThis.gc?.()
    if (await accepts(parser, input)) read++
  })
  const numRuns = isLong ? runs : Math.ceil(runs / (parser.slow ?? 1))
  const {
    failed,
    counterexample,
    errorInstance,
    seed: used,
    counterexamplePath,
  } = await fc.check(property, {
    numRuns,
    seed,
    endOnFailure: true,
  })
  const fault = failed
    ? {
        input: counterexample?.[0].toString('base64'),
        error: String((errorInstance as Error | null)?.stack),
        seed: used,
        path: counterexamplePath,
      }
    : null
  const milliseconds = Math.round(performance.now() - started)
  const megabytes = Math.round(process.memoryUsage().rss / 1e6)
  const lost = Math.round((read * (parser.lost ?? 0)) / 1e6)
  process.stdout.write(
    `${JSON.stringify({ name: parser.name, inputs, read, milliseconds, megabytes, lost, fault })}\n`,
  )
}

const files = temporaryFiles()
beats[1] = -1
try {
  for (const [i, parser] of foreignParsers(makeSamples(), files.path).entries())
    if (i % stride === offset && (only === undefined || parser.name === only)) await fuzz(parser)
} finally {
  files.remove()
}
process.exit(0)
