import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { strangersProject } from '../ephemeral/stranger.ts'
import { npmProgram } from '../helpers/npm-program.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run } from '../helpers/subprocess.ts'

test('TypeScript 5.4 knows the types of trust and diagnosis, without skipLibCheck', async ({
  skip,
}) => {
  const { program, missing } = await npmProgram(
    'typescript@5.4',
    'bin/tsc',
    'rootling-typescript54',
  )
  if (program === null) return skip(missing)
  const directory = await strangersProject(['@types/node', 'undici-types'])
  const text = `
    import { diagnose, environmentFor, inspect, trust, trustInProcess, trustStatus } from 'rootling'
    import type { Diagnosis, InspectedObject, Inspection, StoreReport, TrustStatus } from 'rootling'
    export async function use(): Promise<void> {
      const status: TrustStatus = await trustStatus({ stores: ['system'] })
      const reports: readonly StoreReport[] = (await trust({ sudo: true })).stores
      const found: Inspection = await inspect(new URL('https://localhost'), { password: 'x' })
      const until: string | undefined = found.certificates[0]?.notAfter
      const object: InspectedObject | undefined = found.objects[0]
      if (object?.type === 'crl') console.log(object.thisUpdate.slice(0, 4))
      const { findings }: Diagnosis = await diagnose({ urls: ['localhost:8443'] })
      const variables: Record<string, string> = await environmentFor({ base: process.env })
      using trusting = await trustInProcess()
      console.log(status.isTrusted, reports, until, findings[0]?.code, variables, trusting.supported)
      // @ts-expect-error -- there is no such kind
      await trust({ stores: ['firefox'] })
    }`
  const compilerOptions = {
    target: 'es2022',
    lib: ['es2022', 'dom'],
    module: 'node16',
    strict: true,
    noEmit: true,
    types: ['node'],
  }
  await writeFile(join(directory, 'use.mts'), text)
  await writeFile(join(directory, 'require.cts'), text)
  await writeFile(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
  const said = await run(
    process.execPath,
    [program, '-p', directory],
    scrubbedEnvironment(directory),
  )
  expect(said).toMatchObject({ stdout: '', exitCode: 0 })
})
