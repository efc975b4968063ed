"""What differs in Kubeflow's UI from upstream's release, each edit with its reason."""

from mlops_toolchain.recipes.edit import Edit

# A graph is brought into view when the canvas is loaded. The one of an opened frame took the place
# of the one before it on the same canvas, outside of what is seen.
_OPENED_FRAMES = (
    Edit(
        file="src/pages/v2/DagCanvas.tsx",
        old="        <ReactFlowProvider>\n",
        new="        <ReactFlowProvider key={layers.join('/')}>\n",
    ),
)

# A pipeline with an exit handler is one frame and the handler: its steps are what is looked for.
_FIRST_LOOK = (
    Edit(
        file="src/lib/v2/StaticFlow.ts",
        old="export function convertSubDagToFlowElements(",
        new="""/**
 * @returns The layers that a run's page shows first: what an exit handler waits for, if that is all
 * that the pipeline does.
 */
export function getFirstLayers(spec: PipelineSpec): string[] {
  const tasks = Object.entries(spec.root?.dag?.tasks || {});
  const frames = tasks.filter(
    ([, task]) =>
      !task.parameterIterator &&
      !task.artifactIterator &&
      !!spec.components[task.componentRef?.name || '']?.dag,
  );
  if (frames.length !== 1 || tasks.length < 2) {
    return ['root'];
  }
  const [frame] = frames[0];
  const isHandler = ([key, task]: [string, PipelineTaskSpec]) =>
    key === frame ||
    (task.dependentTasks.includes(frame) &&
      task.triggerPolicy?.strategy ===
        PipelineTaskSpec_TriggerPolicy_TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED);
  return tasks.every(isHandler) ? ['root', frame] : ['root'];
}

export function convertSubDagToFlowElements(""",
    ),
    Edit(
        file="src/lib/v2/StaticFlow.ts",
        old="import { ComponentInputsSpec_ArtifactSpec } from "
        "'src/generated/pipeline_spec/pipeline_spec';\n",
        new="import {\n  ComponentInputsSpec_ArtifactSpec,\n"
        "  PipelineTaskSpec_TriggerPolicy_TriggerStrategy,\n"
        "} from 'src/generated/pipeline_spec/pipeline_spec';\n",
    ),
    Edit(
        file="src/pages/RunDetailsV2.tsx",
        old="import { convertFlowElements } from 'src/lib/v2/StaticFlow';\n",
        new="import { getFirstLayers } from 'src/lib/v2/StaticFlow';\n",
    ),
    Edit(
        file="src/pages/RunDetailsV2.tsx",
        old="  const elements = convertFlowElements(pipelineSpec);\n",
        new="  const firstLayers = getFirstLayers(pipelineSpec);\n"
        "  const elements = convertSubDagToRuntimeFlowElements(pipelineSpec, firstLayers, []);\n",
    ),
    Edit(
        file="src/pages/RunDetailsV2.tsx",
        old="useState(['root']);",
        new="useState(firstLayers);",
    ),
)

# The backend notes the end of a graph only where nothing is nested in it (kubeflow/pipelines
# 11979): a frame is what its tasks are.
_FINISHED_FRAMES = (
    Edit(
        file="src/lib/v2/DynamicFlow.ts",
        old="function getExecutionsUnderDAG(\n",
        new="""function getDagState(
  dag: Execution | undefined,
  executions: Execution[],
): Execution.State | undefined {
  const state = dag?.getLastKnownState();
  const properties = dag?.getCustomPropertiesMap();
  const total = (
    properties?.get(ITERATION_COUNT_KEY) || properties?.get(TOTAL_DAG_TASKS_KEY)
  )?.getIntValue();
  if (!dag || state !== Execution.State.RUNNING || !total) {
    return state;
  }
  // Of a task that was tried again, the last one counts.
  const last = new Map<string, Execution>();
  for (const execution of executions) {
    const own = execution.getCustomPropertiesMap();
    if (own.get(PARENT_DAG_ID_KEY)?.getIntValue() !== dag.getId()) {
      continue;
    }
    const name = own.get(TASK_NAME_KEY)?.getStringValue();
    const key = `${name}.${own.get(ITERATION_INDEX_KEY)?.getIntValue()}`;
    const other = last.get(key);
    if (!other || other.getId() < execution.getId()) {
      last.set(key, execution);
    }
  }
  const states = Array.from(last.values()).map(child => getDagState(child, executions));
  if (states.some(child => child === Execution.State.FAILED)) {
    return Execution.State.FAILED;
  }
  const ended = states.filter(
    child =>
      child === Execution.State.COMPLETE ||
      child === Execution.State.CACHED ||
      child === Execution.State.CANCELED,
  );
  return ended.length >= total && ended.length === states.length
    ? Execution.State.COMPLETE
    : state;
}

function getExecutionsUnderDAG(
""",
    ),
    Edit(
        file="src/lib/v2/DynamicFlow.ts",
        old="export const ITERATION_COUNT_KEY = 'iteration_count';\n",
        new="export const ITERATION_COUNT_KEY = 'iteration_count';\n"
        "export const TOTAL_DAG_TASKS_KEY = 'total_dag_tasks';\n",
    ),
    Edit(
        file="src/lib/v2/DynamicFlow.ts",
        old="""  const taskNameToExecution = getTaskNameToExecution(executions);
  const executionIdToExectuion = getExectuionIdToExecution(executions);
  const artifactIdToArtifact = getArtifactIdToArtifact(artifacts);
  const artifactNodeKeyToArtifact = getArtifactNodeKeyToArtifact(
    events,
    executionIdToExectuion,
    artifactIdToArtifact,
  );

  let flowGraph""",
        new="""  const allExecutions = executions;
  const taskNameToExecution = getTaskNameToExecution(executions);
  const executionIdToExectuion = getExectuionIdToExecution(executions);
  const artifactIdToArtifact = getArtifactIdToArtifact(artifacts);
  const artifactNodeKeyToArtifact = getArtifactNodeKeyToArtifact(
    events,
    executionIdToExectuion,
    artifactIdToArtifact,
  );

  let flowGraph""",
    ),
    Edit(
        file="src/lib/v2/DynamicFlow.ts",
        old="(updatedElem.data as SubDagFlowElementData).state ="
        " matchedExecs[0].getLastKnownState();",
        new="(updatedElem.data as SubDagFlowElementData).state = getDagState(\n"
        "          matchedExecs[0],\n          allExecutions,\n        );",
    ),
    Edit(
        file="src/lib/v2/DynamicFlow.ts",
        old="(updatedElem.data as SubDagFlowElementData).state ="
        " executions[0]?.getLastKnownState();",
        new="(updatedElem.data as SubDagFlowElementData).state = getDagState(\n"
        "          executions[0],\n          allExecutions,\n        );",
    ),
)

# Types were those of a step's artifacts in another order than the artifacts': the mark of an empty
# file of metrics stood beside any of them.
_TYPES_IN_ORDER = (
    Edit(
        file="src/components/tabs/InputOutputTab.tsx",
        old="  const artifactTypeNames =\n    linkedArtifacts && artifactTypes ?"
        " getArtifactTypeName(artifactTypes, linkedArtifacts) : [];\n",
        new="  const getTypeNames = (artifacts: LinkedArtifact[]) =>\n"
        "    artifactTypes ? getArtifactTypeName(artifactTypes, artifacts) : [];\n",
    ),
    *(
        Edit(
            file="src/components/tabs/InputOutputTab.tsx",
            old=f"      {choose}(linkedArtifacts),\n      artifactTypeNames,\n",
            new=f"      {choose}(linkedArtifacts),\n"
            f"      getTypeNames({choose}(linkedArtifacts)),\n",
        )
        for choose in ("filterEventWithInputArtifact", "filterEventWithOutputArtifact")
    ),
)

# Each page asks for them; elsewhere than on Google's clusters there is no name, which is no error.
_NO_CLUSTER_NAME = (
    Edit(
        file="server/handlers/gke-metadata.ts",
        old="  res.status(500).send('GKE metadata endpoints are disabled.');\n",
        new="  res.send('');\n",
    ),
)

# A visitor's request named the store's address, and changed the one that everybody's requests use.
_OWN_STORE_ONLY = (
    Edit(
        file="server/minio-helper.ts",
        old="        config = await parseS3ProviderInfo(config, providerInfo, namespace);\n",
        new="        refuseForeignEndpoint(providerInfo.Params.endpoint);\n"
        "        config = await parseS3ProviderInfo({ ...config }, providerInfo, namespace);\n",
    ),
    Edit(
        file="server/minio-helper.ts",
        old="// Parse provider info for any s3 compatible store that's not AWS S3\n",
        new="""// Requests are sent to what ALLOWED_ARTIFACT_ENDPOINTS, a list of HOST:PORT, names.
function refuseForeignEndpoint(endpoint?: string) {
  const allowed = process.env.ALLOWED_ARTIFACT_ENDPOINTS;
  if (!allowed || !endpoint) {
    return;
  }
  const url = new URL(endpoint.startsWith('http') ? endpoint : `https://${endpoint}`);
  const port = url.port || (url.protocol === 'http:' ? '80' : '443');
  if (!allowed.split(',').includes(`${url.hostname}:${port}`)) {
    throw new Error(`the store at ${url.hostname}:${port} is not this installation's`);
  }
}

// Parse provider info for any s3 compatible store that's not AWS S3
""",
    ),
)

# The Pod of a step that may be tried again has "retry" in its name. Its log was looked for in the
# folder of a workflow that there is not, and so was lost with the Pod.
_LOGS_OF_RETRIED_STEPS = (
    Edit(
        file="server/workflow-helper.ts",
        old="      .replace('{{workflow.name}}', "
        "podName.replace(/-system-container-impl-.*/, ''))\n",
        new="      .replace(\n        '{{workflow.name}}',\n"
        "        podName.replace(/(-retry)?-system-container-impl-.*/, ''),\n      )\n",
    ),
    Edit(
        file="server/workflow-helper.ts",
        old="  let workflowName = podName.replace(/-system-container-impl-.*/, '');\n",
        new="  let workflowName = podName.replace(/(-retry)?-system-container-impl-.*/, '');\n",
    ),
    Edit(
        file="server/workflow-helper.ts",
        old="    const nodeName = podName.replace('-system-container-impl', '');\n",
        new="    const nodeName = podName.replace(/(-retry)?-system-container-impl/, '');\n",
    ),
)

EDITS = (
    *_OPENED_FRAMES,
    *_FIRST_LOOK,
    *_FINISHED_FRAMES,
    *_TYPES_IN_ORDER,
    *_NO_CLUSTER_NAME,
    *_OWN_STORE_ONLY,
    *_LOGS_OF_RETRIED_STEPS,
)
