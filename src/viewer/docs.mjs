// Makes docs/, the library's reference, from its own comments, and fails where something that is exported has none, or a link
// leads nowhere. With --check nothing is written.
import { Application, LogLevel, TSConfigReader, TypeDocReader } from "typedoc";

const app = await Application.bootstrap({}, [new TypeDocReader(), new TSConfigReader()]);
const problems = [];
const { log } = app.logger;
app.logger.log = (message, level) => {
  // The fields of a type that has no name of its own are told of where they stand.
  if (level >= LogLevel.Warn && !message.includes(".__type")) problems.push(message);
  else if (level < LogLevel.Warn) log.call(app.logger, message, level);
};
const project = await app.convert();
if (project !== undefined) app.validate(project);
if (project !== undefined && problems.length === 0 && !process.argv.includes("--check")) await app.generateOutputs(project);
for (const problem of problems) process.stderr.write(`${problem}\n`);
process.exitCode = problems.length > 0 || project === undefined ? 1 : 0;
