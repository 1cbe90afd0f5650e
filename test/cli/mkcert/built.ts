import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const project = join(dirname(fileURLToPath(import.meta.url)), '../../..')

/** Both commands, bundled from the sources as they are now. */
export interface Built {
  readonly rootling: string
  readonly mkcert: string
  remove(): void
}

/** Bundles as scripts/build.mjs does, into a place of its own where npm's packages are found. */
export async function buildCommands(): Promise<Built> {
  const cache = join(project, 'node_modules/.cache')
  mkdirSync(cache, { recursive: true })
  const directory = mkdtempSync(join(cache, 'rootling-mkcert-'))
  const bundle = await rolldown({
    input: {
      rootling: join(project, 'src/cli/rootling.ts'),
      mkcert: join(project, 'src/cli/mkcert/rootling-mkcert.ts'),
    },
    platform: 'node',
    external: ['fs-native-extensions'],
    transform: { define: { VERSION: '"0.0.0"' }, target: 'node20' },
    logLevel: 'silent',
  })
  await bundle.write({
    dir: directory,
    format: 'cjs',
    entryFileNames: '[name].cjs',
    banner: (chunk) => (chunk.isEntry ? `#!${process.execPath}` : ''),
  })
  await bundle.close()
  for (const name of ['rootling', 'mkcert']) chmodSync(join(directory, `${name}.cjs`), 0o755)
  return {
    rootling: join(directory, 'rootling.cjs'),
    mkcert: join(directory, 'mkcert.cjs'),
    remove: () => rmSync(directory, { recursive: true }),
  }
}
