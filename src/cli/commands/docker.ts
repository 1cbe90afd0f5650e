import { checkHosts, containerTexts } from '../../containers/docker.ts'
import { RootlingError } from '../../errors.ts'
import { ensureContainerFiles } from '../../runtimes/bundles.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { bold, linesOf, type Line } from '../lines.ts'
import type { dockerSpec } from '../specs/runtimes.ts'

/** `rootling docker`: prints what containers need so that programs in them trust the authority. */
export async function docker(
  args: ArgumentsOf<typeof dockerSpec>,
  { state, output }: Context,
): Promise<ExitCode> {
  const { for: only, image = 'debian', positionals: names } = args
  if (args.image !== undefined && only !== undefined && only !== 'dockerfile')
    throw new RootlingError('usage', `--image means nothing for --for ${only}.`, {
      hint: 'rootling docker --for dockerfile --image alpine',
    })
  checkHosts(names)
  const { roots, bundle } = await ensureContainerFiles(state)
  const { compose, devcontainer, dockerfile } = containerTexts({ roots, bundle }, names)
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
