export { default } from './plugin.ts'
export type { RootlingPluginOptions } from './plugin.ts'
