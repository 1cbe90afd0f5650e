import { basename, dirname, join } from 'node:path'
import { RootlingError } from '../../errors.ts'
import { sweepDead, writeFileAtomic } from '../../files/atomic.ts'
import { readText } from '../../files/read.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { environmentFor } from '../../runtimes/environment.ts'
import { textFor } from '../../runtimes/shells.ts'
import { quotedPath, shellWord } from '../../shell-word.ts'
import { placeToWrite } from '../inside.ts'
import { impossible, settled, type PlannedStep, type Work } from '../step.ts'

/** The first line, by which the file is known as one that `up` wrote. */
const title = '# rootling up keeps this file; changes are overwritten.\n'

/** Node reads NODE_EXTRA_CA_CERTS before it reads the file of --env-file. */
const warning =
  '# Node trusts the CA by rootling run -- COMMAND; node --env-file is too late for Node itself.\n'

const longest = 1024 * 1024

/** Plans the file of the variables that make programs trust the roots. */
export async function planEnv({
  wanted,
  world,
  project,
  scopes,
  earlier,
}: Work): Promise<PlannedStep[]> {
  if (wanted.env === null) return []
  const { file } = wanted.env
  const { state } = world
  const step = {
    code: 'env',
    subject: file,
    command: `rootling env --shell dotenv > ${shellWord(file)}`,
  } as const
  try {
    const found = await readText(join(project.directory, file), longest)
    refuseForeignEnv(file, found)
    const isEarlier = earlier.some(
      ({ step: { code, outcome } }) =>
        outcome === 'would-change' && ['authority', 'permit', 'trust'].includes(code),
    )
    const planned = scopes.length === 0 ? null : await environmentText(state, true)
    if (!isEarlier && planned !== null && planned.stale.length === 0 && found === planned.text)
      return [settled(step)]
    return [
      {
        step: {
          ...step,
          outcome: 'would-change',
          privileged: false,
          detail:
            'It is written, for what loads such files; Node itself needs rootling run, not --env-file.',
        },
        dangers: [],
        done: [{ kind: 'env', file }],
        uses: [],
        apply: async () => {
          const path = await placeToWrite(project.directory, file, state)
          const { text: data } = await environmentText(state, false)
          const present = await readText(path, longest)
          if (present === data) return 'What it names was brought up to date.'
          // A file may have come while the person was asked.
          refuseForeignEnv(file, present)
          await sweepDead(dirname(path), basename(path))
          await writeFileAtomic(path, { data, mode: 0o644 }, state.owner)
          return 'It was written. Node itself needs rootling run: node --env-file is too late.'
        },
      },
    ]
  } catch (error) {
    if (error instanceof RootlingError) return [impossible(step, error)]
    throw error
  }
}

export const isOwnEnv = (text: string): boolean => text.startsWith(title)

/** Throws `not-ours` for the text of a file that `up` did not write. */
function refuseForeignEnv(file: string, text: string | null): void {
  if (text === null || isOwnEnv(text)) return
  throw new RootlingError(
    'not-ours',
    `${quotedPath(file)} was not written by rootling up, so it is left.`,
    { hint: 'Name another file in rootling.json, or move this one away' },
  )
}

/**
 * Returns the text of the file, which does not depend on the variables of this process, and which of
 * the files that it names are out of date. Without `planOnly`, those are made.
 */
async function environmentText(state: StateDirectory, planOnly: boolean) {
  const { changes, stale } = await environmentFor({ state, env: {}, replace: false, planOnly })
  return { text: title + warning + textFor('dotenv', changes), stale }
}
