import { join } from 'node:path'
import { bridgeLines, checkNames, containerTexts } from '../../containers/docker.ts'
import { RootlingError } from '../../errors.ts'
import { readText } from '../../files/read.ts'
import { composeFiles, serviceNames } from '../../project/compose.ts'
import { ensureContainerFiles } from '../../runtimes/bundles.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { bold, linesOf, type Line } from '../lines.ts'
import type { dockerSpec } from '../specs/runtimes.ts'

/** `rootling docker`: prints what containers need so that programs in them trust the authority. */
export async function docker(
  args: ArgumentsOf<typeof dockerSpec>,
  { cwd, env, state, output }: Context,
): Promise<ExitCode> {
  const { for: only, image = 'debian', positionals: names } = args
  if (args.image !== undefined && only !== undefined && only !== 'dockerfile')
    throw new RootlingError('usage', `--image means nothing for --for ${only}.`, {
      hint: 'rootling docker --for dockerfile --image alpine',
    })
  if (args.service !== undefined && only !== undefined && only !== 'compose')
    throw new RootlingError('usage', `--service means nothing for --for ${only}.`, {
      hint: 'rootling docker --for compose --service web',
    })
  checkNames(names, args.service ?? [])
  const { roots, bundle } = await ensureContainerFiles(state)
  // It is JSON with comments, of which this one member counts.
  const devcontainerByCompose = /^[^/\n]*"dockerComposeFile"\s*:/m.test(
    (await firstText(cwd, devcontainerFiles)) ?? '',
  )
  const { compose, devcontainer, dockerfile } = containerTexts({ roots, bundle }, names, {
    services: args.service ?? serviceNames((await firstText(cwd, composeFiles)) ?? ''),
    devcontainerByCompose,
    home: process.platform === 'win32' ? undefined : env['HOME'],
  })
  if (output.json) {
    const parsed: unknown = JSON.parse(devcontainer)
    output.result([], { files: { roots, bundle }, compose, devcontainer: parsed, dockerfile })
    return exitCodes.ok
  }
  const baked = dockerfile[image] ?? ''
  if (only === 'dockerfile' && baked === '')
    throw new RootlingError('unsupported', `No line of a Dockerfile makes ${image} trust a root.`, {
      hint: 'Mount the files: rootling docker --for compose',
    })
  if (devcontainerByCompose && only !== 'compose' && only !== 'dockerfile')
    output.note(
      `devcontainer.json names a Compose file, so it gets remoteEnv, which terminals and tools see, and no runArgs. For all programs${names.length === 0 ? '' : ', and for the names'}: rootling docker --for compose${names.map((name) => ` ${name}`).join('')}`,
    )
  else if (only === 'devcontainer' && names.length > 0)
    for (const line of bridgeLines(names)) output.note(line)
  if (only !== undefined) {
    const text = { compose, devcontainer, dockerfile: baked }[only]
    output.contents(Buffer.from(text))
    return exitCodes.ok
  }
  const section = (title: string, text: string): Line[] => [
    bold(title),
    ...linesOf(text.trimEnd()),
    '',
  ]
  output.result(
    [
      ...section('compose.override.yaml (its paths are yours alone: keep it out of git)', compose),
      ...section('devcontainer.json', devcontainer),
      ...section(
        `Dockerfile, ${image}, where the image itself must trust the CA`,
        baked === '' ? 'Mount the files: nothing in it adds a root.' : baked,
      ),
      'The files hold public certificates only. Start containers anew after ca rotate.',
      ...(baked === ''
        ? []
        : [output.hint('For the Dockerfile: rootling ca export --all --out rootling.crt')]),
    ],
    {},
  )
  return exitCodes.ok
}

const devcontainerFiles = ['.devcontainer/devcontainer.json', '.devcontainer.json']

/** Returns the text of the first of the files in a directory that can be read; `null`: of none. */
async function firstText(directory: string, names: readonly string[]): Promise<string | null> {
  for (const name of names) {
    const text = await readText(join(directory, name), 256 * 1024).catch(() => null)
    if (text !== null) return text
  }
  return null
}
