import type { CommandSpec } from '../command.ts'

export const shareSpec = {
  name: 'share',
  summary: 'Let a phone trust the CA, and reach apps, a while',
  positionals: '[NAME…]',
  completes: ['routes'],
  options: {
    address: {
      type: 'string',
      placeholder: 'IP',
      describe: 'Address of this machine to share on; default: that of its only private network',
    },
    port: { type: 'number', placeholder: 'N', describe: 'Port; default 14670', alias: 'p' },
    'check-port': {
      type: 'number',
      placeholder: 'N',
      describe: 'Port of the HTTPS page that proves trust; default 14671',
    },
    'app-port': {
      type: 'number',
      placeholder: 'N',
      describe: 'Port of the apps NAME; default 443, or 14672 where that cannot be had',
    },
    minutes: { type: 'number', placeholder: 'N', describe: 'How long, up to 60; default 10' },
    once: {
      type: 'boolean',
      describe: 'End when a device trusts the CA; exit code 4 if none does in time',
    },
  },
  examples: [
    'rootling share',
    'rootling share --address 192.168.1.5 --minutes 30',
    'rootling share shop.localhost',
  ],
} as const satisfies CommandSpec
