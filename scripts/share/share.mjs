// Writes dist/share: the manual pages and the completion scripts, from the table of commands. They
// are the same in every build of a version.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rolldown } from 'rolldown'

/** Writes both below `dist/share` of the project's directory `root`. */
export async function writeShare(root, version) {
  const { manualPages, completionScripts } = await loadTable(root, version)
  for (const [directory, files] of [
    ['man/man1', manualPages(version)],
    ['completions', completionScripts()],
  ]) {
    const path = join(root, 'dist/share', directory)
    mkdirSync(path, { recursive: true })
    for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text)
  }
}

/** Loads what `share.ts` exports; the bodies of the commands are left out. */
export async function loadTable(root, version) {
  const bundle = await rolldown({
    input: join(root, 'scripts/share/share.ts'),
    platform: 'node',
    external: /\/commands\//,
    checks: { bundlerTimings: false },
    transform: { define: { VERSION: JSON.stringify(version) }, target: 'node20' },
  })
  const { output } = await bundle.generate({ format: 'esm', codeSplitting: false })
  await bundle.close()
  return import(`data:text/javascript;base64,${Buffer.from(output[0].code).toString('base64')}`)
}
