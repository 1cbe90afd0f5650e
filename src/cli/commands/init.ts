import { RootlingError } from '../../errors.ts'
import type { Guess } from '../../project/guess.ts'
import { answerFault, hostsAmong, initProject, type Answers } from '../../project/init.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { linesOf } from '../lines.ts'
import type { initSpec } from '../specs/project.ts'
import { openStreams } from '../standard-streams.ts'
import { quotedPath } from '../../shell-word.ts'

/** Says what is wrong with the last of the answers; `undefined`: nothing. */
type FaultOf = (
  last: Parameters<typeof answerFault>[0],
  answers: Parameters<typeof answerFault>[1],
) => string | undefined

/** `rootling init`: writes a rootling.json by asking, or with --yes by guessing. */
export async function init(
  args: ArgumentsOf<typeof initSpec>,
  { cwd, env, state, output, interactive }: Context,
): Promise<ExitCode> {
  const isAsking = args.yes !== true
  if (isAsking && !interactive)
    throw new RootlingError('usage', 'Without a terminal nobody can be asked.', {
      hint: 'To write what the files of the project let guess: rootling init --yes',
    })
  const faultOf: FaultOf = (last, answers) =>
    answerFault(last, answers, cwd, state.owner) ?? undefined
  const { file, text, guess } = await initProject({
    cwd,
    env,
    owner: state.owner,
    ask: async (guessed, found) => (isAsking ? askFor(guessed, found, faultOf) : guessed),
  })
  // The dialogue begins with it.
  if (!isAsking && guess.found.length > 0) output.note(`Found ${guess.found.join(', ')}.`)
  output.note(`Wrote ${quotedPath(file)}. To do what it says: rootling up`)
  output.result(linesOf(text.trimEnd()), { file, contents: text, found: guess.found })
  return exitCodes.ok
}

/**
 * Asks on the terminal, with what was guessed as the first answer to each question, and asks again
 * for what rootling.json may not hold.
 */
async function askFor(guessed: Answers, { found }: Guess, faultOf: FaultOf): Promise<Answers> {
  openStreams()
  const { confirm, intro, isCancel, text } = await import('@clack/prompts')
  // Standard output is for the result.
  const output = process.stderr
  const answered = async <T>(question: Promise<T>): Promise<Exclude<T, symbol>> => {
    const answer = await question
    if (!isCancel(answer)) return answer as Exclude<T, symbol>
    throw new RootlingError('cancelled', 'Cancelled; nothing was written.')
  }
  intro(found.length === 0 ? 'A new rootling.json' : `Found ${found.join(', ')}`, { output })
  const typed = await answered(
    text({
      message: 'Host names and addresses of the certificate',
      initialValue: guessed.names.join(' '),
      validate: (value = '') => faultOf('names', { names: wordsIn(value) }),
      output,
    }),
  )
  const names = wordsIn(typed)
  const cert = await answered(
    text({
      message: 'Where the certificate goes',
      initialValue: guessed.cert,
      validate: (value = '') => faultOf('cert', { cert: value }),
      output,
    }),
  )
  const key = await answered(
    text({
      message: 'Where its key goes',
      initialValue: guessed.key,
      validate: (value = '') => faultOf('key', { cert, key: value }),
      output,
    }),
  )
  const hosts = hostsAmong(names)
  const wantsHosts =
    hosts.length > 0 &&
    (await answered(
      confirm({ message: `Add ${hosts.join(', ')} to the hosts file (needs root)?`, output }),
    ))
  const wantsEnv = await answered(
    confirm({
      message: 'Write .env.rootling, by which Node and others trust the CA?',
      initialValue: false,
      output,
    }),
  )
  return {
    names,
    cert,
    key,
    hosts: wantsHosts ? hosts : [],
    env: wantsEnv ? '.env.rootling' : null,
  }
}

/** Returns the names that were typed, each once. */
function wordsIn(typed: string): string[] {
  const words = typed.split(/[\s,]+/).filter((word) => word !== '')
  const folded = words.map((word) => word.toLowerCase())
  return words.filter((_, i) => folded.indexOf(folded[i] ?? '') === i)
}
