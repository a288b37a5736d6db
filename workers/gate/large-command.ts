/**
 * A Redis command with thousands of arguments. The library flattens them one by one and adds each to a string in six
 * pieces: 0.7 µs an argument, of which a conversion has eight. Joined at once they take 0.2.
 */
import { Command } from 'ioredis';

/** Lengths are spelled once: nearly all arguments are short. */
const LENGTHS = Array.from({ length: 256 }, (_, length) => `$${length}`);

export class LargeCommand extends Command {
  override readonly args: string[];

  constructor(name: string, args: string[]) {
    super(name, [], { replyEncoding: 'utf8' });
    this.args = args;
  }

  /** As Redis reads it. Characters are bytes as long as all are ASCII, which the whole tells at once. */
  override toWritable(socket: object): string | Buffer {
    const { name, args } = this;
    const lines = [`*${args.length + 1}`, `$${name.length}`, name];
    for (const argument of args)
      lines.push(LENGTHS[argument.length] ?? `$${argument.length}`, argument);
    const text = `${lines.join('\r\n')}\r\n`;
    return Buffer.byteLength(text) === text.length ? text : super.toWritable(socket);
  }
}
