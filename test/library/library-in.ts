import { ensureBuilt, project } from '../helpers/built.ts'
import { commandForEverybody } from '../helpers/for-everybody.ts'
import type { Namespace } from '../helpers/namespace.ts'
import type { Finished } from '../helpers/subprocess.ts'
import { dirname } from 'node:path'

/** Runs scripts that use the built package inside a namespace. */
export interface Library {
  /**
   * Runs the body of an async function that has the package as `rootling`, and returns what it
   * returns. Fails when it throws, or prints something.
   */
  readonly call: <T>(body: string, env?: Readonly<Record<string, string>>) => Promise<T>
}

const scriptOf = (entry: string, body: string): string => `
  const rootling = require(${JSON.stringify(entry)})
  void (async () => {${body}})().then((value) => console.log(JSON.stringify(value)))`

function resultOf({ exitCode, stdout, stderr }: Finished): unknown {
  if (exitCode !== 0 || stderr !== '') throw new Error(`exit code ${exitCode}: ${stdout}${stderr}`)
  return JSON.parse(stdout)
}

/** The package as root uses it. */
export function libraryIn(namespace: Namespace): Library {
  ensureBuilt()
  return {
    call: async (body, env = {}) => {
      const script = scriptOf(`${project}/dist/library/index.cjs`, body)
      return resultOf(await namespace.run(process.execPath, ['-e', script], { env })) as never
    },
  }
}

/** The package as the user ada uses it, whom sudoers names with this rule; `null`: not at all. */
export async function libraryOfPerson(
  namespace: Namespace,
  rule: string | null,
): Promise<Library & { readonly home: string }> {
  const scratch = dirname(namespace.home)
  const [node, command] = await commandForEverybody(namespace)
  await namespace.must('sh', [
    '-c',
    `set -eu
    useradd --create-home --home-dir "$1/ada" --shell /bin/sh ada
    rm -rf /etc/sudoers.d
    mkdir -m 0755 /etc/sudoers.d`,
    'sh',
    scratch,
  ])
  if (rule !== null) {
    await namespace.writeFile('/etc/sudoers.d/ada', `ada ${rule}\n`)
    await namespace.must('chmod', ['0440', '/etc/sudoers.d/ada'])
  }
  const home = `${scratch}/ada`
  const entry = `${dirname(command)}/../library/index.cjs`
  return {
    home,
    call: async (body, env = {}) => {
      const variables = Object.entries({ HOME: home, USER: 'ada', LOGNAME: 'ada', ...env })
      const words = ['env', `--chdir=${home}`, ...variables.map((pair) => pair.join('='))]
      const line = ['-u', 'ada', '--', ...words, node, '-e', scriptOf(entry, body)]
      return resultOf(await namespace.run('runuser', line)) as never
    },
  }
}
