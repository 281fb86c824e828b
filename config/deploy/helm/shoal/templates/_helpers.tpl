{{- define "shoal.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "shoal.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "shoal.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "shoal.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "shoal.selectorLabels" -}}
app.kubernetes.io/name: {{ include "shoal.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "shoal.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "shoal.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "shoal.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "shoal.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "shoal.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A duration of the configuration ("1m30s") in whole seconds, rounded up. */}}
{{- define "shoal.seconds" -}}
{{- $start := toDate "2006-01-02" "2000-01-01" -}}
{{- $end := $start | mustDateModify (printf "+%s" .) | mustDateModify "+999ms" -}}
{{- sub (unixEpoch $end) (unixEpoch $start) -}}
{{- end -}}

{{/* What the manifests must agree with, from the configuration or from what is said of an existing one: JSON. */}}
{{- define "shoal.facts" -}}
{{- $facts := dict -}}
{{- if .Values.config.existing.configMap -}}
{{- $said := .Values.config.existing -}}
{{- $facts = dict "configMap" $said.configMap "key" $said.key "port" $said.port "tls" $said.tls "metricsPort" $said.metricsPort
    "readyPath" $said.readyPath "lameDuck" $said.lameDuck "shutdown" $said.maxShutdownWaitTime -}}
{{- else -}}
{{- $service := mustFromJson .Values.config.inline -}}
{{- $extra := default dict $service.extra_config -}}
{{- $drain := default dict (get $extra "shoal/drain") -}}
{{- $metrics := 0 -}}
{{- $telemetry := default dict (get $extra "telemetry/opentelemetry") -}}
{{- with (default dict $telemetry.exporters).prometheus -}}
{{- if not (has (first .).host (list "127.0.0.1" "::1" "localhost")) -}}
{{- $metrics = default 9090 (first .).port -}}
{{- end -}}
{{- end -}}
{{- if has $service.listen_ip (list "127.0.0.1" "::1") -}}
{{- fail (printf "listen_ip of the configuration is %s, where nobody outside of the pod reaches it: leave it out" $service.listen_ip) -}}
{{- end -}}
{{- $name := include "shoal.fullname" . -}}
{{- if not .Values.watch -}}
{{- $name = printf "%s-%s" $name (sha256sum .Values.config.inline | trunc 10) -}}
{{- end -}}
{{- $tls := and $service.tls (not $service.tls.disabled) -}}
{{- if and $tls $service.tls.enable_mtls -}}
{{- fail "the configuration wants certificates of clients (enable_mtls), and the kubelet has none for its probes: ask clients in front of the pods" -}}
{{- end -}}
{{- $ready := "/__ready" -}}
{{- if hasKey $drain "ready_path" -}}{{- $ready = $drain.ready_path -}}{{- end -}}
{{- $facts = dict "configMap" $name "key" "krakend.json" "port" (default 8080 $service.port) "tls" (not (not $tls))
    "metricsPort" $metrics "readyPath" $ready "lameDuck" (default "0s" $drain.lame_duck)
    "shutdown" (default "0s" $service.max_shutdown_wait_time) -}}
{{- end -}}
{{- $lameDuck := include "shoal.seconds" $facts.lameDuck | int -}}
{{- $shutdown := include "shoal.seconds" $facts.shutdown | int -}}
{{- $probe := .Values.probes.readiness -}}
{{- $noticed := add (mul $probe.periodSeconds $probe.failureThreshold) $probe.timeoutSeconds | int -}}
{{- if not $facts.readyPath -}}
{{- fail "the configuration has an empty ready_path in shoal/drain: readiness cannot be asked for" -}}
{{- end -}}
{{- if le $lameDuck $noticed -}}
{{- fail (printf "lame_duck of shoal/drain is %d s, and a node that leaves is noticed after up to %d s (probes.readiness): requests would be refused; 15s is a good value" $lameDuck $noticed) -}}
{{- end -}}
{{- if le $shutdown 0 -}}
{{- fail "the configuration has no max_shutdown_wait_time, so a node may take for ever to end: set it above the longest timeout of an endpoint" -}}
{{- end -}}
{{- $grace := add $lameDuck $shutdown .Values.drain.spareSeconds -}}
{{- $facts = merge (dict "grace" $grace) $facts -}}
{{- toJson $facts -}}
{{- end -}}
